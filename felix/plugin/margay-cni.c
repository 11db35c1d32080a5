/*
 * The CNI plugin that the container runtime calls. It hands the CNI_* variables and standard input to felix over a unix
 * socket and prints what comes back; all else is felix's. It waits for a bounded time at every step, and while felix is not
 * there it answers with error 11 of the CNI specification, "try again later".
 *
 * Request:  "margay-cni 1\n", then twice a length (32 bits, network order) and so many bytes: the variables, each
 *           NAME=VALUE with a zero behind it, and standard input.
 * Answer:   exit status and length (32 bits each, network order), and so many bytes for standard output.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/margay/cni.sock"
#define MAGIC "margay-cni 1\n"

/* Error codes of the CNI specification. */
#define CNI_INVALID_ENVIRONMENT 4
#define CNI_IO_FAILURE 5
#define CNI_TRY_AGAIN_LATER 11

#define MAX_INPUT (4u << 20)
#define MAX_VARIABLES (1u << 20)
#define MAX_ANSWER (16u << 20)

/* Milliseconds: for standard input to end and for standard output to be read; for felix to be there; for its answer. */
#define INPUT_MS 10000
#define CONNECT_MS 5000
#define ANSWER_MS 90000
#define RETRY_MS 50

extern char **environ;

struct bytes {
	char *at;
	size_t length, room;
};

static struct bytes input;

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until fd is ready for events, or has failed. Returns 0 when the time is over. */
static int wait_for(int fd, short events, int64_t deadline)
{
	for (;;) {
		int64_t left = deadline - now_ms();
		struct pollfd poller = { .fd = fd, .events = events };
		int ready;
		if (left < 0)
			return 0;
		ready = poll(&poller, 1, (int)left);
		if (ready > 0)
			return 1;
		if (ready < 0 && errno != EINTR && errno != EAGAIN)
			return 1; /* the call that follows says what is wrong */
	}
}

/* Writes all to fd. Returns 0, or -1 with errno, which is ETIMEDOUT when nobody took it. */
static int write_all(int fd, const char *from, size_t length, int64_t deadline)
{
	while (length > 0) {
		/* So much fits into a pipe that poll calls writable: the call does not block. */
		size_t most = length < 4096 ? length : 4096;
		ssize_t written;
		if (!wait_for(fd, POLLOUT, deadline)) {
			errno = ETIMEDOUT;
			return -1;
		}
		written = write(fd, from, most);
		if (written < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return -1;
		}
		from += written;
		length -= (size_t)written;
	}
	return 0;
}

/* Reads length bytes. Returns how many came before the end; -1 with errno. */
static ssize_t read_all(int fd, char *to, size_t length, int64_t deadline)
{
	size_t have = 0;
	while (have < length) {
		ssize_t count;
		if (!wait_for(fd, POLLIN, deadline)) {
			errno = ETIMEDOUT;
			return -1;
		}
		count = read(fd, to + have, length - have);
		if (count < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return -1;
		}
		if (count == 0)
			break;
		have += (size_t)count;
	}
	return (ssize_t)have;
}

static void append(struct bytes *to, const char *from, size_t length)
{
	if (to->length + length > to->room) {
		size_t room = 2 * (to->length + length) + 4096;
		char *grown = realloc(to->at, room);
		if (grown == NULL) {
			fputs("margay-cni: out of memory\n", stderr);
			_exit(1);
		}
		to->at = grown;
		to->room = room;
	}
	if (length > 0)
		memcpy(to->at + to->length, from, length);
	to->length += length;
}

static void append_json(struct bytes *to, const char *text)
{
	for (; *text != 0; text++) {
		unsigned char c = (unsigned char)*text;
		char escaped[8];
		if (c == '"' || c == '\\')
			snprintf(escaped, sizeof escaped, "\\%c", c);
		else if (c < 0x20)
			snprintf(escaped, sizeof escaped, "\\u%04x", c);
		else
			snprintf(escaped, sizeof escaped, "%c", c);
		append(to, escaped, strlen(escaped));
	}
}

/* The value of "cniVersion" in the configuration, or the version of most of them. */
static const char *asked_version(char version[16])
{
	static const char key[] = "\"cniVersion\"";
	const char *at = input.length == 0 ? NULL : memmem(input.at, input.length, key, sizeof key - 1);
	const char *end = input.at + input.length;
	size_t length = 0;
	if (at != NULL) {
		at += sizeof key - 1;
		while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r' || *at == ':'))
			at++;
		if (at < end && *at == '"')
			for (at++; at < end && length < 15 && ((*at >= '0' && *at <= '9') || *at == '.'); at++)
				version[length++] = *at;
	}
	version[length] = 0;
	return length > 0 && at < end && *at == '"' ? version : "1.0.0";
}

/* Prints an error result (CNI specification, section 5), and ends. */
__attribute__((noreturn, format(printf, 3, 4))) static void fail(int code, const char *message, const char *format, ...)
{
	struct bytes out = { 0 };
	char details[512], number[16], version[16];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(details, sizeof details, format, arguments);
	va_end(arguments);
	snprintf(number, sizeof number, "%d", code);
	append(&out, "{\"cniVersion\":\"", 15);
	append_json(&out, asked_version(version));
	append(&out, "\",\"code\":", 9);
	append(&out, number, strlen(number));
	append(&out, ",\"msg\":\"", 8);
	append_json(&out, message);
	append(&out, "\",\"details\":\"", 13);
	append_json(&out, details);
	append(&out, "\"}\n", 3);
	if (write_all(STDOUT_FILENO, out.at, out.length, now_ms() + INPUT_MS) < 0)
		fprintf(stderr, "margay-cni: %s: %s\n", message, details);
	exit(1);
}

static int64_t setting(const char *name, int64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	long value;
	if (text == NULL || *text == 0)
		return otherwise;
	errno = 0;
	value = strtol(text, &end, 10);
	return errno != 0 || *end != 0 || value < 0 || value > 600000 ? otherwise : value;
}

static void read_input(void)
{
	int64_t deadline = now_ms() + INPUT_MS;
	char chunk[65536];
	for (;;) {
		ssize_t count;
		if (!wait_for(STDIN_FILENO, POLLIN, deadline))
			fail(CNI_IO_FAILURE, "the network configuration does not end",
			     "standard input was still open after %d s", INPUT_MS / 1000);
		count = read(STDIN_FILENO, chunk, sizeof chunk);
		if (count == 0)
			return;
		if (count < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			if (errno == EBADF)
				return; /* closed: as if it were empty */
			fail(CNI_IO_FAILURE, "the network configuration can not be read", "standard input: %s",
			     strerror(errno));
		}
		if (input.length + (size_t)count > MAX_INPUT)
			fail(CNI_IO_FAILURE, "the network configuration is too long",
			     "found more than %u bytes on standard input", MAX_INPUT);
		append(&input, chunk, (size_t)count);
	}
}

/* Connects to felix, which may be about to start. */
static int reach(const char *path, int64_t wait_ms)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int64_t deadline = now_ms() + wait_ms;
	if (strlen(path) >= sizeof address.sun_path)
		fail(CNI_TRY_AGAIN_LATER, "felix can not be reached", "%s: the path is too long for a socket", path);
	strcpy(address.sun_path, path);
	for (;;) {
		struct timespec pause = { .tv_nsec = RETRY_MS * 1000000L };
		int error;
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			fail(CNI_TRY_AGAIN_LATER, "felix can not be reached", "socket: %s", strerror(errno));
		/* Of a unix socket this never takes time: a full queue is EAGAIN. */
		if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
			return fd;
		error = errno;
		close(fd);
		if (error != ENOENT && error != ECONNREFUSED && error != EAGAIN && error != EINTR)
			fail(CNI_TRY_AGAIN_LATER, "felix can not be reached", "%s: %s", path, strerror(error));
		if (now_ms() + RETRY_MS > deadline)
			fail(CNI_TRY_AGAIN_LATER, "felix is not running on this node",
			     "%s: %s for %d ms. Is the margay pod of this node up?", path, strerror(error), (int)wait_ms);
		nanosleep(&pause, NULL);
	}
}

static void append_length(struct bytes *to, size_t length)
{
	uint32_t word = htonl((uint32_t)length);
	append(to, (const char *)&word, sizeof word);
}

int main(void)
{
	const char *path = getenv("MARGAY_CNI_SOCKET");
	const char *command = getenv("CNI_COMMAND");
	struct bytes request = { 0 }, variables = { 0 };
	int64_t deadline;
	uint32_t header[2];
	size_t length;
	ssize_t count;
	char *answer;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	if (path == NULL || *path == 0)
		path = DEFAULT_SOCKET;
	if (command == NULL || *command == 0) {
		fprintf(stderr, "The CNI plugin of Margay. Container runtimes call it, with CNI_COMMAND set;\n"
				"it hands what it is given to felix at %s.\n", path);
		return 0;
	}
	read_input();

	for (char **variable = environ; *variable != NULL; variable++)
		if (strncmp(*variable, "CNI_", 4) == 0)
			append(&variables, *variable, strlen(*variable) + 1);
	if (variables.length > MAX_VARIABLES)
		fail(CNI_INVALID_ENVIRONMENT, "the CNI variables are too long", "found %zu bytes, expected at most %u",
		     variables.length, MAX_VARIABLES);
	append(&request, MAGIC, sizeof MAGIC - 1);
	append_length(&request, variables.length);
	append(&request, variables.at, variables.length);
	append_length(&request, input.length);
	append(&request, input.at, input.length);

	fd = reach(path, setting("MARGAY_CNI_CONNECT_MS", CONNECT_MS));
	deadline = now_ms() + setting("MARGAY_CNI_ANSWER_MS", ANSWER_MS);
	if (write_all(fd, request.at, request.length, deadline) < 0 && errno != EPIPE && errno != ECONNRESET)
		fail(CNI_TRY_AGAIN_LATER, "felix does not take the request", "%s: %s", path, strerror(errno));
	errno = 0;
	count = read_all(fd, (char *)header, sizeof header, deadline);
	length = count == (ssize_t)sizeof header ? ntohl(header[1]) : 0;
	if (length > MAX_ANSWER)
		fail(CNI_TRY_AGAIN_LATER, "the answer is not one of felix", "%s: %zu bytes were announced", path, length);
	answer = malloc(length + 1);
	if (answer == NULL)
		fail(CNI_TRY_AGAIN_LATER, "out of memory", "an answer of %zu bytes", length);
	if (count == (ssize_t)sizeof header)
		count = read_all(fd, answer, length, deadline) == (ssize_t)length ? (ssize_t)sizeof header : -1;
	if (count != (ssize_t)sizeof header) {
		if (count < 0 && errno == ETIMEDOUT)
			fail(CNI_TRY_AGAIN_LATER, "felix does not answer", "%s: nothing came in time", path);
		fail(CNI_TRY_AGAIN_LATER, "felix ended before it answered", "%s: the connection was closed", path);
	}
	if (write_all(STDOUT_FILENO, answer, length, now_ms() + INPUT_MS) < 0) {
		fprintf(stderr, "margay-cni: the answer can not be printed: %s\n", strerror(errno));
		return 1;
	}
	/* Statuses that a process can end with. */
	return (int)(ntohl(header[0]) & 0xff);
}
