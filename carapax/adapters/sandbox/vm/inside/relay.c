/* The way out, inside: connections to 127.0.0.1:3128 go through one port to the host, which hands each to the proxy.
 *
 * A frame: connection (2 bytes), kind (1), length (2), content. 'o' opened, 'd' data, 'e' no more from this side,
 * 'r' gone, 'w' room for so many more bytes. A side sends no more data than it was given room for, so neither side
 * ever has to keep more than WINDOW bytes of a connection, and none can hold up the others.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONNECTIONS 64
#define WINDOW 65536
#define PIECE 16384
#define HEAD 5
#define NOBODY 65534

struct connection {
    int fd; /* -1: free */
    uint16_t id;
    uint32_t room; /* bytes that may still go to the host */
    size_t waiting; /* bytes for the program */
    int ours_ended, theirs_ended;
    uint8_t kept[WINDOW];
};

static struct connection all[CONNECTIONS];
static uint16_t last_id;
static uint8_t held[HEAD + 65535];
static size_t held_len;

static void to_host(const uint8_t *bytes, size_t length) {
    while (length) {
        ssize_t done = write(way_port, bytes, length);
        if (done > 0) {
            bytes += done, length -= (size_t)done;
        } else if (errno == EAGAIN) {
            struct pollfd one = {way_port, POLLOUT, 0};
            poll(&one, 1, 1000);
        } else if (errno != EINTR) {
            _exit(1);
        }
    }
}

static void say(uint16_t id, char kind, const uint8_t *content, size_t length) {
    uint8_t out[HEAD + PIECE] = {(uint8_t)(id >> 8), (uint8_t)id, (uint8_t)kind, (uint8_t)(length >> 8), (uint8_t)length};
    memcpy(out + HEAD, content, length);
    to_host(out, HEAD + length);
}

static void drop(struct connection *one) {
    close(one->fd);
    one->fd = -1;
}

static void gone(struct connection *one) {
    say(one->id, 'r', NULL, 0);
    drop(one);
}

static struct connection *find(uint16_t id) {
    for (int n = 0; n < CONNECTIONS; n++)
        if (all[n].fd >= 0 && all[n].id == id)
            return &all[n];
    return NULL;
}

static struct connection *find_free(void) {
    for (int n = 0; n < CONNECTIONS; n++)
        if (all[n].fd < 0)
            return &all[n];
    return NULL;
}

static void take_in(int listener) {
    struct connection *one = find_free();
    int fd = one ? accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    if (fd < 0)
        return;
    do
        last_id++;
    while (find(last_id) != NULL);
    one->fd = fd, one->id = last_id, one->room = WINDOW, one->waiting = 0;
    one->ours_ended = one->theirs_ended = 0;
    say(one->id, 'o', NULL, 0);
}

static void end_if_both(struct connection *one) {
    if (one->theirs_ended && one->waiting == 0)
        shutdown(one->fd, SHUT_WR);
    if (one->theirs_ended && one->ours_ended && one->waiting == 0)
        drop(one);
}

static void flush(struct connection *one) {
    ssize_t done = send(one->fd, one->kept, one->waiting, MSG_NOSIGNAL);
    if (done < 0) {
        if (errno != EAGAIN && errno != EINTR)
            gone(one);
        return;
    }
    memmove(one->kept, one->kept + done, one->waiting - (size_t)done);
    one->waiting -= (size_t)done;
    uint8_t room[4] = {0, (uint8_t)(done >> 16), (uint8_t)(done >> 8), (uint8_t)done};
    say(one->id, 'w', room, sizeof room);
    end_if_both(one);
}

static void from_program(struct connection *one) {
    uint8_t piece[PIECE];
    ssize_t done = recv(one->fd, piece, one->room < PIECE ? one->room : PIECE, 0);
    if (done > 0) {
        one->room -= (uint32_t)done;
        say(one->id, 'd', piece, (size_t)done);
    } else if (done == 0) {
        one->ours_ended = 1;
        say(one->id, 'e', NULL, 0);
        end_if_both(one);
    } else if (errno != EAGAIN && errno != EINTR) {
        gone(one);
    }
}

static void heard(uint16_t id, char kind, const uint8_t *content, size_t length) {
    struct connection *one = find(id);
    if (one == NULL)
        return;
    if (kind == 'd' && length <= WINDOW - one->waiting) {
        memcpy(one->kept + one->waiting, content, length);
        one->waiting += length;
        flush(one);
    } else if (kind == 'w' && length == 4) {
        one->room += (uint32_t)content[0] << 24 | (uint32_t)content[1] << 16 | (uint32_t)content[2] << 8 | content[3];
    } else if (kind == 'e') {
        one->theirs_ended = 1;
        end_if_both(one);
    } else {
        drop(one);
    }
}

static void from_host(void) {
    ssize_t done = read(way_port, held + held_len, sizeof held - held_len);
    if (done <= 0) {
        usleep(1000);
        return;
    }
    held_len += (size_t)done;
    size_t at = 0;
    while (held_len - at >= HEAD) {
        size_t length = (size_t)held[at + 3] << 8 | held[at + 4];
        if (held_len - at < HEAD + length)
            break;
        heard((uint16_t)(held[at] << 8 | held[at + 1]), (char)held[at + 2], held + at + HEAD, length);
        at += HEAD + length;
    }
    memmove(held, held + at, held_len - at);
    held_len -= at;
}

static void serve(int listener) {
    struct pollfd on[CONNECTIONS + 2];
    for (;;) {
        on[0] = (struct pollfd){find_free() ? listener : -1, POLLIN, 0};
        on[1] = (struct pollfd){way_port, POLLIN, 0};
        for (int n = 0; n < CONNECTIONS; n++) {
            struct connection *one = &all[n];
            short wish = (short)((one->room && !one->ours_ended ? POLLIN : 0) | (one->waiting ? POLLOUT : 0));
            on[n + 2] = (struct pollfd){wish ? one->fd : -1, wish, 0};
        }
        if (poll(on, CONNECTIONS + 2, -1) < 0)
            continue;
        for (int n = 0; n < CONNECTIONS; n++) {
            struct connection *one = &all[n];
            if (one->fd >= 0 && one->fd == on[n + 2].fd && one->waiting && on[n + 2].revents & (POLLOUT | POLLERR | POLLHUP))
                flush(one);
            if (one->fd >= 0 && one->fd == on[n + 2].fd && one->room && !one->ours_ended &&
                on[n + 2].revents & (POLLIN | POLLERR | POLLHUP))
                from_program(one);
        }
        if (on[1].revents)
            from_host();
        if (on[0].revents & POLLIN)
            take_in(listener);
    }
}

void start_relay(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(3128), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
              bind(listener, (struct sockaddr *)&here, sizeof here) == 0 && listen(listener, CONNECTIONS) == 0,
          "the way out");
    pid_t relay = fork();
    check(relay >= 0, "the way out");
    if (relay > 0) {
        close(listener);
        return;
    }
    in_job = 1;
    signal(SIGPIPE, SIG_IGN);
    close(port);
    port = -1;
    check(fcntl(way_port, F_SETFL, O_NONBLOCK) == 0, "the way's port");
    check(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0, "the relay's user");
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    for (int n = 0; n < CONNECTIONS; n++)
        all[n].fd = -1;
    serve(listener);
}
