/* node/control_socket.c: see control_socket.h. */
#include "node/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* The address by way of the open directory `directory_fd`. */
static struct sockaddr_un address_in(int directory_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory_fd,
             CONTROL_SOCKET_NAME);
    return address;
}

static void bound_waiting(int fd, uint64_t wait_ms)
{
    const struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000),
                                 .tv_usec = (suseconds_t)(wait_ms % 1000) * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}

/* A connected socket, or negative errno. */
static int connect_in(int directory_fd, uint64_t wait_ms)
{
    const struct sockaddr_un address = address_in(directory_fd);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    bound_waiting(fd, wait_ms);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    const int result = -errno;
    close(fd);
    return result;
}

static int bind_in(int directory_fd)
{
    const struct sockaddr_un address = address_in(directory_fd);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0)
        return fd;
    const int result = -errno;
    close(fd);
    return result;
}

int control_socket_listen(const char *run_directory, char *error, size_t error_bytes)
{
    const int directory_fd = open(run_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = -errno;

    if (directory_fd < 0)
        goto failed;
    const int living = connect_in(directory_fd, CONTROL_WAIT_MS);
    if (living >= 0) {
        close(living);
        close(directory_fd);
        snprintf(error, error_bytes,
                 "run directory %s is used by another running node; each needs its own `run`",
                 run_directory);
        return -EADDRINUSE;
    }
    unlinkat(directory_fd, CONTROL_SOCKET_NAME, 0);
    result = bind_in(directory_fd);
    close(directory_fd);
    if (result >= 0)
        return result;
failed:
    snprintf(error, error_bytes, "no control socket in the run directory %s: %s", run_directory,
             strerror(-result));
    return result;
}

int control_socket_accept(int listen_fd, char question[CONTROL_QUESTION_BYTES])
{
    const int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return -errno;
    bound_waiting(fd, CONTROL_WAIT_MS);
    const ssize_t got = recv(fd, question, CONTROL_QUESTION_BYTES - 1, 0);
    if (got <= 0) {
        close(fd);
        return -EIO;
    }
    question[got] = '\0';
    question[strcspn(question, "\r\n")] = '\0';
    return fd;
}

int control_socket_ask(const char *run_directory, const char *question, uint64_t wait_ms,
                       char *answer, size_t answer_bytes)
{
    const int directory_fd = open(run_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    size_t used = 0;

    if (directory_fd < 0)
        return -errno;
    const int fd = connect_in(directory_fd, wait_ms);
    close(directory_fd);
    if (fd < 0)
        return fd;
    ssize_t got = send(fd, question, strlen(question), MSG_NOSIGNAL);
    while (got > 0 && used + 1 < answer_bytes) {
        got = recv(fd, answer + used, answer_bytes - 1 - used, 0);
        used += got > 0 ? (size_t)got : 0;
    }
    const int result = got < 0 ? -errno : (int)used;
    answer[used] = '\0';
    close(fd);
    return result == 0 ? -EPIPE : result;
}
