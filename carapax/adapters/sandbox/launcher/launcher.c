/* Launcher: puts one job behind the walls that bubblewrap does not build. Two stages of one program.
 *
 *   launcher outside [options] -- BWRAP WORDS...   on the host, before bubblewrap (outside.c)
 *   launcher inside  [options] -- PROGRAM WORDS... behind bubblewrap's walls, before the job (inside.c)
 *
 * Each stage replaces itself with what follows "--"; nothing of it stays. It is started with an empty environment
 * and exactly the descriptors it is told about. Any fault ends it before anything of the job has run.
 */
#include "launch.h"

void fail(int tell, const char *format, ...)
{
    int reason = errno;
    char text[512];
    va_list words;
    va_start(words, format);
    vsnprintf(text, sizeof text, format, words);
    va_end(words);
    dprintf(tell, "%s%s%s\n", text, reason ? ": " : "", reason ? strerror(reason) : "");
    _exit(FAILED);
}

int number(const char *text)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 0 || value > 0x7fffffff) {
        errno = 0;
        fail(2, "launcher: not a number: %.32s", text);
    }
    return (int)value;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "outside") == 0)
        return stage_outside(argc - 1, argv + 1);
    if (argc > 2 && strcmp(argv[1], "inside") == 0)
        return stage_inside(argc - 1, argv + 1);
    errno = 0;
    fail(2, "launcher: no stage was named");
}
