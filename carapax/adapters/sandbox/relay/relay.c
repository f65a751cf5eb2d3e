/* Relay: leads 127.0.0.1:3128 inside a sandbox to the unix socket of its way out, then becomes the job.
 *
 *   relay SOCKET -- PROGRAM [WORD...]
 *   relay SOCKET            the program is told on the standard input: two numbers of 32 bits (bytes that follow,
 *                           words of the program), then the program's words and its environment, each ended by NUL
 *
 * When all stands and it waits to be told, it writes one R. SOCKET `-` is no way out: nothing listens. When the input ends before a program was told, nothing runs.
 * The listener stands before the program begins. The relay is the program's child: the sandbox ends with the program.
 * Bounds: MAX_PAIRS connections at once (further ones wait in the backlog), BUFFER bytes held each way.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PORT = 3128, MAX_PAIRS = 64, BUFFER = 16384, MAX_TOLD = 1 << 20, NO_WAY = 125, NO_PROGRAM = 127 };

struct flow {
    size_t begin, end;
    int ended, passed_on; /* its source will give no more; its sink was told so */
    char held[BUFFER];
};

struct pair {
    int client, proxy;
    struct flow up, down;
};

static struct pair *pairs[MAX_PAIRS];
static int count;

/* Moves what can be moved now. Returns 0 when the connection is broken. */
static int pump(struct flow *flow, int from, int to) {
    if (flow->begin == flow->end && !flow->ended) {
        ssize_t got = recv(from, flow->held, BUFFER, 0);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return 0;
        if (got == 0)
            flow->ended = 1;
        flow->begin = 0;
        flow->end = got > 0 ? (size_t)got : 0;
    }
    if (flow->begin < flow->end) {
        ssize_t put = send(to, flow->held + flow->begin, flow->end - flow->begin, MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN && errno != EINTR)
            return 0;
        if (put > 0)
            flow->begin += (size_t)put;
    }
    if (flow->ended && flow->begin == flow->end && !flow->passed_on) {
        flow->passed_on = 1;
        shutdown(to, SHUT_WR);
    }
    return 1;
}

static short wanted(const struct flow *in, const struct flow *out) {
    short events = 0;
    if (in->begin == in->end && !in->ended)
        events |= POLLIN;
    if (out->begin < out->end)
        events |= POLLOUT;
    return events;
}

static void forget(int at) {
    close(pairs[at]->client);
    close(pairs[at]->proxy);
    free(pairs[at]);
    pairs[at] = pairs[--count];
}

static void take(int listener, const struct sockaddr_un *way) {
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    int proxy = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pair *pair = calloc(1, sizeof *pair);
    if (proxy < 0 || pair == NULL || connect(proxy, (const struct sockaddr *)way, sizeof *way) < 0 ||
        fcntl(proxy, F_SETFL, O_NONBLOCK) < 0) {
        close(client);
        if (proxy >= 0)
            close(proxy);
        free(pair);
        return;
    }
    pair->client = client;
    pair->proxy = proxy;
    pairs[count++] = pair;
}

/* Serves one pair after a poll. Returns 0 when it is over. */
static int serve_pair(struct pair *pair, short at_client, short at_proxy) {
    if ((at_client | at_proxy) & (POLLERR | POLLNVAL))
        return 0;
    if (((at_client & POLLHUP) && pair->up.ended) || ((at_proxy & POLLHUP) && pair->down.ended))
        return 0;
    if (!pump(&pair->up, pair->client, pair->proxy) || !pump(&pair->down, pair->proxy, pair->client))
        return 0;
    return !(pair->up.passed_on && pair->down.passed_on);
}

static void serve(int listener, const struct sockaddr_un *way) {
    static struct pollfd watched[1 + 2 * MAX_PAIRS];
    for (;;) {
        watched[0] = (struct pollfd){.fd = count < MAX_PAIRS ? listener : -1, .events = POLLIN};
        for (int i = 0; i < count; i++) {
            const struct pair *pair = pairs[i];
            watched[1 + 2 * i] = (struct pollfd){.fd = pair->client, .events = wanted(&pair->up, &pair->down)};
            watched[2 + 2 * i] = (struct pollfd){.fd = pair->proxy, .events = wanted(&pair->down, &pair->up)};
        }
        if (poll(watched, (nfds_t)(1 + 2 * count), -1) < 0) {
            if (errno == EINTR)
                continue;
            return;
        }
        for (int i = count - 1; i >= 0; i--) { /* backwards: forgetting moves the last one, already served, here */
            short client = watched[1 + 2 * i].revents, proxy = watched[2 + 2 * i].revents;
            if ((client | proxy) && !serve_pair(pairs[i], client, proxy))
                forget(i);
        }
        if (watched[0].revents & POLLIN)
            take(listener, way);
    }
}

static int listen_inside(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, MAX_PAIRS) < 0)
        return -1;
    return listener;
}

/* Starts the relay as a child. Returns 0 when there can be no way out. */
static int lead(const char *path) {
    struct sockaddr_un way = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof way.sun_path)
        return 0;
    strcpy(way.sun_path, path);
    int listener = listen_inside();
    pid_t child = listener < 0 ? -1 : fork();
    if (child < 0)
        return 0;
    if (child > 0) {
        close(listener);
        return 1;
    }
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        dup2(nowhere, i);
    setsid();
    serve(listener, &way);
    _exit(0);
}

static int read_whole(void *into, size_t size) {
    for (size_t have = 0; have < size;) {
        ssize_t got = read(0, (char *)into + have, size - have);
        if (got == 0 || (got < 0 && errno != EINTR))
            return 0;
        if (got > 0)
            have += (size_t)got;
    }
    return 1;
}

/* Waits for the program to be told and becomes it. Returns when none was told rightly. */
static void become_told(void) {
    uint32_t head[2]; /* bytes, words of the program */
    if (!read_whole(head, sizeof head) || head[0] == 0 || head[0] > MAX_TOLD || head[1] == 0 || head[1] > head[0])
        return;
    char *text = malloc(head[0]);
    char **words = calloc((size_t)head[0] + 3, sizeof *words); /* no more words than bytes, and two ends */
    if (text == NULL || words == NULL || !read_whole(text, head[0]) || text[head[0] - 1] != 0)
        return;
    size_t at = 0, count_told = 0;
    for (uint32_t begin = 0; begin < head[0]; begin += (uint32_t)strlen(text + begin) + 1) {
        if (count_told++ == head[1])
            at++; /* the program's words end with NULL */
        words[at++] = text + begin;
    }
    if (count_told < head[1])
        return;
    environ = words + head[1] + 1;
    if (count_told == head[1])
        environ = words + at; /* NULL: none */
    execvp(words[0], words);
    fprintf(stderr, "%s: %s\n", words[0], strerror(errno));
    _exit(NO_PROGRAM);
}

int main(int argc, char **argv) {
    if (argc != 2 && (argc < 4 || strcmp(argv[2], "--") != 0)) {
        fprintf(stderr, "relay: called wrongly\n");
        return NO_WAY;
    }
    if (strcmp(argv[1], "-") != 0 && !lead(argv[1])) {
        fprintf(stderr, "relay: no way out: %s\n", strerror(errno));
        return NO_WAY;
    }
    if (argc == 2) {
        if (write(1, "R", 1) == 1) /* ready: everything stands, nothing of a job has run */
            become_told();
        return NO_WAY;
    }
    execvp(argv[3], argv + 3);
    fprintf(stderr, "%s: %s\n", argv[3], strerror(errno));
    return NO_PROGRAM;
}
