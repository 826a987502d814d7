// SPDX-License-Identifier: Apache-2.0
//
// The load of samara-bench's network scenarios: a server, and clients that measure round trips and short connections.
// Static, so that it runs in any container it is bind-mounted into. Clients print one JSON object.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "Usage: net-load serve PORT\n"
    "       net-load rr ADDRESS PORT BYTES SECONDS\n"
    "       net-load urr ADDRESS PORT BYTES SECONDS\n"
    "       net-load crr ADDRESS PORT CONCURRENCY SECONDS\n"
    "       net-load bulk ADDRESS PORT SECONDS\n"
    "       net-load hold ADDRESS PORT COUNT\n"
    "       net-load refused ADDRESS PORT SECONDS\n"
    "\n"
    "serve  listens on every IPv4 address, TCP and UDP (or on the TCP socket of LISTEN_FDS, sd_listen_fds(3)), prints\n"
    "       \"ready\", echoes datagrams, and answers by a connection's first byte. C: echoes 64 bytes and closes.\n"
    "       G: HTTP, 1 KiB for each request. B: takes everything and gives nothing. Others: echoes what it gets\n"
    "rr     sends BYTES and waits for them, one after the other: times in nanoseconds\n"
    "urr    the same in UDP datagrams; one that is not answered within a second is an error\n"
    "crr    connects, sends 64 bytes, reads them until the server closes; CONCURRENCY at once\n"
    "bulk   sends as fast as it can: bytes and seconds\n"
    "hold   opens COUNT connections, exchanges a byte on each, prints how many are open, and holds them until the end\n"
    "       of its standard input\n"
    "refused connects where nobody listens, one after the other: times until the refusal or reset\n";

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

static bool send_all(int fd, const char *bytes, ssize_t count) {
    for (ssize_t sent = 0; sent < count;) {
        ssize_t step = send(fd, bytes + sent, (size_t)(count - sent), MSG_NOSIGNAL);
        if (step < 0 && errno == EAGAIN) continue; // messages are far smaller than a send buffer
        if (step < 0) return false;
        sent += step;
    }
    return true;
}

// The requests of wrk have no body and come one at a time.
static bool answer_http(int fd, const char *request, ssize_t count) {
    static char answer[1280];
    static ssize_t length;
    if (length == 0) {
        length = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n");
        memset(answer + length, 'x', 1024);
        length += 1024;
    }
    for (ssize_t index = 3; index < count; index++)
        if (memcmp(request + index - 3, "\r\n\r\n", 4) == 0 && !send_all(fd, answer, length)) return false;
    return true;
}

// False when the connection is over. `mode` is its first byte.
static bool serve_some(int fd, char *mode) {
    static char buffer[1 << 18];
    ssize_t count = recv(fd, buffer, sizeof buffer, 0);
    if (count <= 0) return count < 0 && errno == EAGAIN;
    if (*mode == 0) *mode = buffer[0] ? buffer[0] : '0';
    if (*mode == 'B') return true;
    if (*mode == 'G') return answer_http(fd, buffer, count);
    return send_all(fd, buffer, count) && *mode != 'C';
}

static int listening_socket(const char *port) {
    int on = 1;
    if (getenv("LISTEN_FDS")) {
        fcntl(3, F_SETFL, fcntl(3, F_GETFL) | O_NONBLOCK);
        return 3;
    }
    struct sockaddr_in self = address("0.0.0.0", port);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&self, sizeof self) != 0 || listen(listener, 4096) != 0) fail("port %s", port);
    return listener;
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
    static char modes[65536];
    int listener = listening_socket(port), loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in self = address("0.0.0.0", port);
    // Beside a socket that was handed over there is no network to serve datagrams in.
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
                    modes[accepted] = 0;
                    event = (struct epoll_event){.events = EPOLLIN, .data.fd = accepted};
                    epoll_ctl(loop, EPOLL_CTL_ADD, accepted, &event);
                }
                continue;
            }
            if (!serve_some(fd, &modes[fd])) close(fd);
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

static int connected(const struct sockaddr_in *server) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 5};
    if (fd < 0) fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    no_delay(fd);
    if (connect(fd, (const struct sockaddr *)server, sizeof *server) == 0) return fd;
    close(fd);
    return -1;
}

static void bulk(const char *host, const char *port, double seconds) {
    static char buffer[1 << 17] = "B";
    struct sockaddr_in server = address(host, port);
    int fd = connected(&server);
    if (fd < 0) fail("connect to %s:%s", host, port);
    uint64_t began = now(), end = began + (uint64_t)(seconds * 1e9), bytes = 0;
    while (now() < end) {
        ssize_t count = send(fd, buffer, sizeof buffer, MSG_NOSIGNAL);
        if (count < 0) fail("send");
        bytes += (uint64_t)count;
    }
    printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)bytes, (double)(now() - began) / 1e9);
}

static void hold(const char *host, const char *port, size_t count) {
    struct sockaddr_in server = address(host, port);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    char byte = 'h';
    for (size_t index = 0; index < count; index++) {
        int fd = connected(&server);
        if (fd < 0) fail("connection %zu to %s:%s", index, host, port);
        if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1) fail("connection %zu", index);
    }
    printf("%zu\n", count);
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
}

static void refused(const char *host, const char *port, double seconds) {
    struct sockaddr_in server = address(host, port);
    size_t errors = 0;
    uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9);
    for (uint64_t began = start; began < end; began = now()) {
        char byte;
        int fd = connected(&server);
        ssize_t count = fd < 0 ? -1 : recv(fd, &byte, 1, 0);
        if (count < 0 && (errno == ECONNREFUSED || errno == ECONNRESET)) record(now() - began);
        else errors++;
        if (fd >= 0) close(fd);
        // Loopback refuses so quickly that this would be a flood otherwise.
        usleep(1000);
    }
    print((double)(now() - start) / 1e9, errors);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "serve") == 0) serve(argv[2]);
    else if (argc == 6 && (strcmp(argv[1], "rr") == 0 || strcmp(argv[1], "urr") == 0))
        round_trips(argv[1][0] == 'u', argv[2], argv[3], (size_t)atoi(argv[4]), atof(argv[5]));
    else if (argc == 6 && strcmp(argv[1], "crr") == 0) connections(argv[2], argv[3], (size_t)atoi(argv[4]), atof(argv[5]));
    else if (argc == 5 && strcmp(argv[1], "bulk") == 0) bulk(argv[2], argv[3], atof(argv[4]));
    else if (argc == 5 && strcmp(argv[1], "hold") == 0) hold(argv[2], argv[3], (size_t)atoi(argv[4]));
    else if (argc == 5 && strcmp(argv[1], "refused") == 0) refused(argv[2], argv[3], atof(argv[4]));
    else {
        fputs(usage, stderr);
        return 2;
    }
    return 0;
}
