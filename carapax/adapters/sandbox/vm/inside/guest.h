/* The guest's own program: what its parts share. Everything here runs inside the disposable machine. */
#ifndef CARAPAX_GUEST_H
#define CARAPAX_GUEST_H

#include <stddef.h>
#include <stdint.h>

#define ROOT "/r"
#define WORKSPACE ROOT "/workspace"
#define AGENT 1000
#define CHUNK 65536

/* One job as the host sent it: strings point into the received message. */
struct job {
    uint8_t mount;      /* 'n' none, 'r' read, 'w' write */
    uint8_t library;    /* show the second share */
    uint8_t way;        /* a relay on 127.0.0.1:3128 is wanted */
    uint64_t memory, processes, tmp_bytes, shm_bytes, file_bytes, open_files;
    char **argv, **envp;
    const uint8_t *filter, *input, *archive;
    size_t filter_len, input_len, archive_len;
    const uint8_t *files; /* further files of /etc: count, then name and content of each */
    size_t files_len;
    char *library_path, *interpreter_path;
};

/* A cursor over received bytes; `bad` once it ran over the end. */
struct cursor {
    const uint8_t *at, *end;
    int bad;
};

void fail(const char *what) __attribute__((noreturn)); /* tells the host and stops */
void check(int ok, const char *what);
void put(int fd, const void *bytes, size_t length);
void frame(char kind, const void *bytes, size_t length);
void write_file(const char *path, const char *text);
uint64_t take_number(struct cursor *from, int bytes);
const uint8_t *take_bytes(struct cursor *from, size_t *length);
char *take_text(struct cursor *from);

void unpack_archive(const uint8_t *bytes, size_t length, const char *folder);
void send_archive(const char *folder);

void show(const struct job *job);
void run_job(const struct job *job);
void start_relay(void);

extern int port, way_port, in_job;

#endif
