/* One job: what it is shown, its ceilings, its processes, its output.
 *
 * The machine is the wall. What is done here (a user without privileges, the default tier's filter of system calls,
 * a process namespace, control groups) keeps the job from the guest's own first process and gives it the same
 * ceilings as in the other tiers.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void make_folders(const char *path) {
    char made[4096];
    snprintf(made, sizeof made, ROOT "%s", path);
    for (char *at = made + sizeof ROOT; *at; at++)
        if (*at == '/') {
            *at = 0;
            mkdir(made, 0755);
            *at = '/';
        }
    mkdir(made, 0755);
}

static void share(const char *tag, const char *path) {
    char where[4096];
    make_folders(path);
    snprintf(where, sizeof where, ROOT "%s", path);
    check(mount(tag, where, "9p", MS_RDONLY | MS_NOSUID | MS_NODEV,
                "trans=virtio,version=9p2000.L,cache=loose,msize=131072,access=any") == 0,
          path);
}

static void sized(const char *path, uint64_t bytes, unsigned long flags, const char *mode) {
    char options[96];
    snprintf(options, sizeof options, "mode=%s,size=%llu", mode, (unsigned long long)bytes);
    check(mount("tmpfs", path, "tmpfs", flags, options) == 0, path);
}

static void more_files(const struct job *job) {
    struct cursor from = {job->files, job->files + job->files_len, 0};
    for (size_t count = take_number(&from, 4); count && !from.bad; count--) {
        char path[512], *name = take_text(&from);
        size_t length;
        const uint8_t *content = take_bytes(&from, &length);
        snprintf(path, sizeof path, ROOT "/etc/%s", name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        check(fd >= 0, path);
        put(fd, content, length);
        close(fd);
        free(name);
    }
    check(!from.bad, "the files do not parse");
}

void show(const struct job *job) {
    share("system", "/usr");
    if (*job->interpreter_path)
        share("interpreter", job->interpreter_path);
    if (job->library)
        share("library", job->library_path);
    more_files(job);
    sized(ROOT "/tmp", job->tmp_bytes, MS_NOSUID | MS_NODEV | MS_NOEXEC, "1777");
    sized(ROOT "/dev/shm", job->shm_bytes, MS_NOSUID | MS_NODEV | MS_NOEXEC, "1777");
    if (job->mount != 'n') {
        sized(WORKSPACE, 256u << 20, MS_NOSUID | MS_NODEV, "0755");
        check(chown(WORKSPACE, AGENT, AGENT) == 0, "the workspace");
        unpack_archive(job->archive, job->archive_len, WORKSPACE);
        if (job->mount == 'r')
            check(mount(NULL, WORKSPACE, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) == 0,
                  "the workspace for reading");
    }
    check(mount(NULL, ROOT "/dev", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL) == 0, "devices");
    check(mount(NULL, ROOT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0, "root for reading");
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)job->memory);
    write_file("/cg/job/memory.max", text);
    write_file("/cg/job/memory.oom.group", "1");
    snprintf(text, sizeof text, "%llu", (unsigned long long)job->processes + 1);
    write_file("/cg/job/pids.max", text);
}

static void limit(int what, uint64_t value) {
    struct rlimit both = {value, value};
    check(setrlimit(what, &both) == 0, "a ceiling");
}

static int given_input(const struct job *job) {
    if (job->input_len == 0)
        return open("/dev/null", O_RDONLY);
    int fd = memfd_create("input", 0);
    check(fd >= 0, "the input");
    put(fd, job->input, job->input_len);
    check(lseek(fd, 0, SEEK_SET) == 0, "the input");
    return fd;
}

static void begin(const struct job *job, int output) {
    int input = given_input(job);
    check(dup2(input, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2, "descriptors");
    check(syscall(SYS_close_range, 3, ~0u, 0) == 0, "descriptors");
    port = -1;
    setsid();
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, job->file_bytes);
    limit(RLIMIT_NOFILE, job->open_files);
    check(chdir("/workspace") == 0, "the workspace");
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        check(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0, "a privilege");
    check(setgroups(0, NULL) == 0 && setgid(AGENT) == 0 && setuid(AGENT) == 0, "the user");
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    struct sock_fprog program = {(unsigned short)(job->filter_len / 8), (struct sock_filter *)job->filter};
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "the filter of system calls");
    environ = job->envp;
    execvp(job->argv[0], job->argv);
    dprintf(2, "%s: %s\n", job->argv[0], strerror(errno));
    _exit(127);
}

/* First process of the job's namespace: root, never the job's; when the program ends, all others end with it. */
static void reap(const struct job *job, int output, int status) {
    int told, code = -1;
    in_job = 1;
    write_file("/cg/job/cgroup.procs", "0");
    check(chdir(ROOT) == 0 && chroot(".") == 0, "root");
    check(mount("proc", "/proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "") == 0, "proc");
    pid_t main = fork();
    check(main >= 0, "the program");
    if (main == 0)
        begin(job, output);
    close(output);
    for (pid_t pid; (pid = wait(&told)) > 0 || errno == EINTR;)
        if (pid == main) {
            code = WIFEXITED(told) ? WEXITSTATUS(told) : 128 + WTERMSIG(told);
            break;
        }
    put(status, &code, sizeof code);
    _exit(0);
}

static int memory_ended(void) {
    char text[512] = "";
    int fd = open("/cg/job/memory.events", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        return 0;
    close(fd);
    char *row = strstr(text, "oom_kill ");
    return row != NULL && row[9] != '0';
}

/* Passes output on until the namespace's first process is gone; one byte from the host ends it early. */
static void follow(int output, int first) {
    static uint8_t piece[CHUNK];
    struct pollfd on[3] = {{output, POLLIN, 0}, {first, POLLIN, 0}, {port, POLLIN, 0}};
    for (;;) {
        if (poll(on, 3, -1) < 0)
            continue;
        if (on[2].revents & POLLIN) {
            uint8_t word;
            if (read(port, &word, 1) == 1)
                write_file("/cg/job/cgroup.kill", "1");
        }
        if (on[0].revents) {
            ssize_t done = read(output, piece, sizeof piece);
            if (done > 0) {
                frame('O', piece, (size_t)done);
                continue;
            }
            if (done == 0 || errno != EAGAIN)
                on[0].fd = -1;
        }
        if (on[1].revents)
            return; /* nothing left to read, and nobody left to write */
    }
}

void run_job(const struct job *job) {
    int output[2], status[2], code = -1;
    check(pipe2(output, O_CLOEXEC) == 0 && pipe2(status, O_CLOEXEC) == 0, "pipes");
    check(unshare(CLONE_NEWPID | CLONE_NEWIPC) == 0, "namespaces");
    pid_t first = fork();
    check(first >= 0, "the namespace's first process");
    if (first == 0)
        reap(job, output[1], status[1]);
    close(output[1]), close(status[1]);
    check(fcntl(output[0], F_SETFL, O_NONBLOCK) == 0, "output");
    int watched = (int)syscall(SYS_pidfd_open, first, 0);
    check(watched >= 0, "the namespace's first process");
    follow(output[0], watched);
    waitpid(first, NULL, 0);
    if (read(status[0], &code, sizeof code) != sizeof code)
        code = 128 + SIGKILL;
    if (job->mount == 'w')
        send_archive(WORKSPACE);
    uint8_t end[2] = {(uint8_t)code, (uint8_t)memory_ended()};
    frame('E', end, sizeof end);
}
