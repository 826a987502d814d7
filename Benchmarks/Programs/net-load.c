// SPDX-License-Identifier: Apache-2.0
//
// The load of samara-bench's network scenarios: a server, and clients that measure round trips and short connections.
// Static, so that it runs in any container it is bind-mounted into. Clients print one JSON object.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "Usage: net-load serve PORT\n"
    "       net-load rr ADDRESS PORT BYTES SECONDS\n"
    "       net-load urr ADDRESS PORT BYTES SECONDS\n"
    "       net-load crr ADDRESS PORT CONCURRENCY SECONDS\n"
    "\n"
    "serve  listens on every IPv4 address, TCP and UDP, prints \"ready\", and echoes what it gets; a connection whose\n"
    "       first byte is C is closed after 64 bytes\n"
    "rr     sends BYTES and waits for them, one after the other: times in nanoseconds\n"
    "urr    the same in UDP datagrams; one that is not answered within a second is an error\n"
    "crr    connects, sends 64 bytes, reads them until the server closes; CONCURRENCY at once\n";

enum { request_bytes = 64, stuck_ms = 1000 };

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    int error = errno;
    va_list list;
    fputs("net-load: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, ": %s\n", strerror(error));
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static void no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static struct sockaddr_in address(const char *host, const char *port) {
    struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, host, &result.sin_addr) != 1) {
        errno = EINVAL;
        fail("%s", host);
    }
    return result;
}

// Server

static bool echo(int fd, bool *closes, bool first) {
    static char buffer[1 << 16];
    ssize_t count = recv(fd, buffer, sizeof buffer, 0);
    if (count <= 0) return count < 0 && errno == EAGAIN;
    if (first) *closes = buffer[0] == 'C';
    for (ssize_t sent = 0; sent < count;) {
        ssize_t step = send(fd, buffer + sent, (size_t)(count - sent), MSG_NOSIGNAL);
        if (step < 0 && errno == EAGAIN) continue; // messages are far smaller than a send buffer
        if (step < 0) return false;
        sent += step;
    }
    return !*closes;
}

static void echo_datagrams(int fd) {
    static char buffer[1 << 16];
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    ssize_t count;
    while ((count = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length)) >= 0)
        sendto(fd, buffer, (size_t)count, 0, (struct sockaddr *)&peer, length);
}

static void serve(const char *port) {
    static struct { bool used, closes; } connections[65536];
    struct sockaddr_in self = address("0.0.0.0", port);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), loop = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&self, sizeof self) != 0 || listen(listener, 4096) != 0) fail("port %s", port);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(datagrams, (struct sockaddr *)&self, sizeof self) != 0) fail("UDP port %s", port);
    event.data.fd = datagrams;
    epoll_ctl(loop, EPOLL_CTL_ADD, datagrams, &event);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(loop, events, 256, -1);
        for (int index = 0; index < count; index++) {
            int fd = events[index].data.fd;
            if (fd == datagrams) {
                echo_datagrams(fd);
                continue;
            }
            if (fd == listener) {
                int accepted;
                while ((accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
                    if (accepted >= 65536) { close(accepted); continue; }
                    no_delay(accepted);
                    connections[accepted].used = false;
                    event = (struct epoll_event){.events = EPOLLIN, .data.fd = accepted};
                    epoll_ctl(loop, EPOLL_CTL_ADD, accepted, &event);
                }
                continue;
            }
            bool first = !connections[fd].used;
            if (first) connections[fd].used = true, connections[fd].closes = false;
            if (!echo(fd, &connections[fd].closes, first)) close(fd);
        }
    }
}

// Times

static uint64_t *times;
static size_t time_count, time_capacity;

static void record(uint64_t nanoseconds) {
    if (time_count == time_capacity) {
        time_capacity = time_capacity ? time_capacity * 2 : 1 << 16;
        times = realloc(times, time_capacity * sizeof *times);
        if (!times) fail("%zu times", time_capacity);
    }
    times[time_count++] = nanoseconds;
}

static int ascending(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void print(double seconds, size_t errors) {
    qsort(times, time_count, sizeof *times, ascending);
    printf("{\"count\": %zu, \"errors\": %zu, \"seconds\": %.6f", time_count, errors, seconds);
    static const struct { const char *name; double fraction; } quantiles[] = {
        {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    for (size_t index = 0; time_count > 0 && index < sizeof quantiles / sizeof *quantiles; index++)
        printf(", \"%s\": %llu", quantiles[index].name,
            (unsigned long long)times[(size_t)(quantiles[index].fraction * (double)(time_count - 1))]);
    puts("}");
}

// Round trips

static void round_trips(bool datagrams, const char *host, const char *port, size_t bytes, double seconds) {
    struct sockaddr_in server = address(host, port);
    int fd = socket(AF_INET, (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = datagrams ? 1 : 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (!datagrams) no_delay(fd);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0) fail("connect to %s:%s", host, port);
    char *message = calloc(1, bytes), *answer = malloc(bytes);
    if (!message || !answer) fail("%zu bytes", bytes);
    // The first tenth is not counted: caches, windows and the receiver's buffer grow.
    uint64_t began = now(), counted = began + (uint64_t)(seconds * 1e8), end = began + (uint64_t)(seconds * 1.1e9);
    size_t errors = 0;
    for (uint64_t sent = began; sent < end;) {
        if (send(fd, message, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) fail("send");
        for (size_t got = 0; got < bytes;) {
            ssize_t step = recv(fd, answer, bytes - got, 0);
            if (step < 0 && datagrams && errno == EAGAIN) {
                errors++;
                break;
            }
            if (step <= 0) fail("no answer");
            got += (size_t)step;
        }
        uint64_t received = now();
        if (sent >= counted) record(received - sent);
        sent = received;
    }
    print((double)(now() - counted) / 1e9, errors);
}

// Short connections

struct attempt {
    int fd;
    bool sent;
    uint64_t began;
    size_t got;
};

static bool open_connection(struct attempt *attempt, int loop, const struct sockaddr_in *server) {
    *attempt = (struct attempt){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), .began = now()};
    if (attempt->fd < 0) fail("socket");
    no_delay(attempt->fd);
    if (connect(attempt->fd, (const struct sockaddr *)server, sizeof *server) != 0 && errno != EINPROGRESS) {
        close(attempt->fd);
        attempt->fd = -1;
        return false;
    }
    struct epoll_event event = {.events = EPOLLOUT | EPOLLIN, .data.ptr = attempt};
    epoll_ctl(loop, EPOLL_CTL_ADD, attempt->fd, &event);
    return true;
}

// 1: done, 0: goes on, -1: failed
static int advance(struct attempt *attempt, int loop) {
    char buffer[request_bytes] = "C";
    if (!attempt->sent) {
        if (send(attempt->fd, buffer, sizeof buffer, MSG_NOSIGNAL) != sizeof buffer) return errno == EAGAIN ? 0 : -1;
        attempt->sent = true;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = attempt};
        epoll_ctl(loop, EPOLL_CTL_MOD, attempt->fd, &event);
        return 0;
    }
    for (;;) {
        ssize_t count = recv(attempt->fd, buffer, sizeof buffer, 0);
        if (count == 0) return attempt->got == request_bytes ? 1 : -1;
        if (count < 0) return errno == EAGAIN ? 0 : -1;
        attempt->got += (size_t)count;
    }
}

static void connections(const char *host, const char *port, size_t concurrency, double seconds) {
    struct sockaddr_in server = address(host, port);
    struct attempt *attempts = calloc(concurrency, sizeof *attempts);
    struct epoll_event events[256];
    int loop = epoll_create1(EPOLL_CLOEXEC);
    size_t errors = 0;
    uint64_t began = now(), end = began + (uint64_t)(seconds * 1e9);
    for (size_t index = 0; index < concurrency; index++)
        if (!open_connection(&attempts[index], loop, &server)) errors++;
    for (uint64_t time = began; time < end; time = now()) {
        int count = epoll_wait(loop, events, 256, 50);
        for (int index = 0; index < count; index++) {
            struct attempt *attempt = events[index].data.ptr;
            int outcome = advance(attempt, loop);
            if (outcome == 0) continue;
            if (outcome > 0) record(now() - attempt->began);
            else errors++;
            close(attempt->fd);
            while (!open_connection(attempt, loop, &server)) if (++errors > 100000) fail("connect to %s:%s", host, port);
        }
        // A connection that gets no answer is an error, not a small rate: it is given up and counted.
        if (count > 0) continue;
        for (size_t index = 0; index < concurrency; index++) {
            if (now() - attempts[index].began < stuck_ms * 1000000ULL) continue;
            errors++;
            close(attempts[index].fd);
            open_connection(&attempts[index], loop, &server);
        }
    }
    double took = (double)(now() - began) / 1e9;
    for (size_t index = 0; index < concurrency; index++) if (now() - attempts[index].began > stuck_ms * 1000000ULL) errors++;
    print(took, errors);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "serve") == 0) serve(argv[2]);
    else if (argc == 6 && (strcmp(argv[1], "rr") == 0 || strcmp(argv[1], "urr") == 0))
        round_trips(argv[1][0] == 'u', argv[2], argv[3], (size_t)atoi(argv[4]), atof(argv[5]));
    else if (argc == 6 && strcmp(argv[1], "crr") == 0) connections(argv[2], argv[3], (size_t)atoi(argv[4]), atof(argv[5]));
    else {
        fputs(usage, stderr);
        return 2;
    }
    return 0;
}
