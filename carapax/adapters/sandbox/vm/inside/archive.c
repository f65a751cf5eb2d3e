/* The workspace's copy: unpacked on the way in, sent whole on the way out.
 *
 * One record: kind (d, f, l), mode, time of change (ns), path, content or target; 'z' ends. Device files, sockets and
 * pipes are left out. The host checks every record that comes out as if an enemy had written it.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 64

static void unpack_file(const char *path, mode_t mode, const uint8_t *bytes, size_t length) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    check(fd >= 0, path);
    while (length) {
        ssize_t done = write(fd, bytes, length);
        check(done > 0, path);
        bytes += done, length -= (size_t)done;
    }
    check(fchmod(fd, mode) == 0, path);
    close(fd);
}

void unpack_archive(const uint8_t *bytes, size_t length, const char *folder) {
    struct cursor from = {bytes, bytes + length, 0};
    check(chdir(folder) == 0, folder);
    for (;;) {
        char kind = (char)take_number(&from, 1);
        if (from.bad || kind == 'z')
            break;
        mode_t mode = (mode_t)take_number(&from, 4);
        uint64_t when = take_number(&from, 8);
        char *path = take_text(&from);
        size_t size;
        const uint8_t *content = take_bytes(&from, &size);
        if (from.bad)
            break;
        struct timespec times[2] = {{.tv_sec = (time_t)(when / 1000000000), .tv_nsec = (long)(when % 1000000000)}};
        times[1] = times[0];
        if (kind == 'd')
            check((mkdir(path, 0755) == 0 || errno == EEXIST) && chmod(path, mode | 0700) == 0, path);
        else if (kind == 'f')
            unpack_file(path, mode, content, size);
        else if (kind == 'l') {
            char *target = strndup((const char *)content, size);
            check(target != NULL && symlink(target, path) == 0, path);
            free(target);
        }
        check(lchown(path, AGENT, AGENT) == 0, path);
        utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
        free(path);
    }
    check(!from.bad, "the workspace does not parse");
    check(chdir("/") == 0, "/");
}

static void send_number(uint8_t *at, uint64_t number, int bytes) {
    while (bytes--)
        at[bytes] = (uint8_t)number, number >>= 8;
}

static void send_head(char kind, const struct stat *found, const char *path, uint64_t size) {
    size_t length = strlen(path);
    uint8_t *head = malloc(21 + length);
    check(head != NULL, "no memory for a record");
    head[0] = (uint8_t)kind;
    send_number(head + 1, found->st_mode & 0777, 4);
    send_number(head + 5, (uint64_t)found->st_mtim.tv_sec * 1000000000 + (uint64_t)found->st_mtim.tv_nsec, 8);
    send_number(head + 13, length, 4);
    memcpy(head + 17, path, length);
    send_number(head + 17 + length, size, 4);
    frame('W', head, 21 + length);
    free(head);
}

static void send_content(int fd, uint64_t size) {
    static uint8_t piece[CHUNK];
    while (size) {
        ssize_t done = read(fd, piece, size < CHUNK ? size : CHUNK);
        check(done > 0, "a file of the workspace");
        frame('W', piece, (size_t)done);
        size -= (uint64_t)done;
    }
}

static void send_one(int parent, const char *name, const char *path, int depth);

static void send_folder(int fd, const char *path, int depth) {
    DIR *folder = fdopendir(fd);
    check(folder != NULL, "a folder of the workspace");
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        char *below = NULL;
        check(asprintf(&below, "%s%s%s", path, *path ? "/" : "", entry->d_name) >= 0, "no memory for a path");
        send_one(fd, entry->d_name, below, depth);
        free(below);
    }
    closedir(folder);
}

static void send_one(int parent, const char *name, const char *path, int depth) {
    struct stat found;
    if (depth > MAX_DEPTH || fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (S_ISDIR(found.st_mode)) {
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        check(fd >= 0, path);
        send_head('d', &found, path, 0);
        send_folder(fd, path, depth + 1);
    } else if (S_ISREG(found.st_mode) && (uint64_t)found.st_size <= UINT32_MAX) {
        int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        check(fd >= 0, path);
        send_head('f', &found, path, (uint64_t)found.st_size);
        send_content(fd, (uint64_t)found.st_size);
        close(fd);
    } else if (S_ISLNK(found.st_mode)) {
        char target[4096];
        ssize_t length = readlinkat(parent, name, target, sizeof target);
        check(length >= 0, path);
        send_head('l', &found, path, (uint64_t)length);
        frame('W', target, (size_t)length);
    }
}

void send_archive(const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(fd >= 0, folder);
    send_folder(fd, "", 0);
    frame('W', "z", 1);
}
