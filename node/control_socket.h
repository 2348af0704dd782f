/* node/control_socket.h: the local socket by which `skiff` asks a running node.
 *
 * Question: one line ("row", "json", "members", "members-json", or a request of admin_text.h, whose
 * answer may take as long as any request). Answer: text until the end of the stream. It lies in the
 * run directory, and is reached through that directory's fd, because the path of a socket may have
 * 107 bytes only.
 *
 * Thread     Server: the control thread, never for longer than CONTROL_WAIT_MS a client.
 */
#ifndef NODE_CONTROL_SOCKET_H
#define NODE_CONTROL_SOCKET_H

#include <stddef.h>
#include <stdint.h>

enum { CONTROL_WAIT_MS = 200, CONTROL_QUESTION_BYTES = 512, CONTROL_ANSWER_BYTES = 64 << 10 };

#define CONTROL_SOCKET_NAME "control.sock"

/* The listening fd, or a negative errno with a sentence in `error`. A socket that a dead process
 * left is removed; -EADDRINUSE: a living one answers there. */
int control_socket_listen(const char *run_directory, char *error, size_t error_bytes);

/* One waiting client: its question in `question`, and the fd to answer on; negative: none. */
int control_socket_accept(int listen_fd, char question[CONTROL_QUESTION_BYTES]);

/* The client: asks and returns the length of the answer, or a negative errno; -EAGAIN: nothing came
 * within wait_ms. */
int control_socket_ask(const char *run_directory, const char *question, uint64_t wait_ms,
                       char *answer, size_t answer_bytes);

#endif
