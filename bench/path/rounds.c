/*
 * rounds MODE SOURCE DESTINATION PORT ROUNDS CLIENT-NAMESPACE,SERVER-NAMESPACE,COUNT...
 *
 * Times packets on their ways through network namespaces: lanes, each from a client to a server by whatever lies between them, all
 * with the same addresses. A round has a burst of COUNT on each lane, in random order, so that whatever else the machine does
 * meets all alike; each burst begins with a tenth that is not timed. Prints a line for each round: ns for each of COUNT, lane by lane.
 *
 *   same     a datagram of one connection, which has been answered before
 *   new      a datagram that begins a connection of its own
 *   echo     a datagram there and one back, client and server in one thread
 *   talk     the same between two processes on two processors, each of which waits for the other
 *   connect  a TCP connection made, accepted and reset
 *   stream   64 KiB of one TCP connection, written and read by one thread
 *
 * A veth pair hands a packet on inside the system call that sends it, so that what one thread needs is the time of the whole way, and
 * nobody is woken but in `talk`. It runs at a real-time priority on the first processor: what else runs there waits.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LANES 64
#define PAYLOAD 64
#define CHUNK 65536

struct lane {
	const char *client_namespace, *server_namespace;
	long count;
	int client, server;
	/* Of `new`: how many connections there have been. */
	unsigned int begun;
};

struct mode {
	const char *name;
	void (*open)(struct lane *);
	void (*run)(struct lane *, long count);
};

static struct sockaddr_in from, to;
static char buffer[16 * CHUNK];

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail(path);
	close(fd);
}

static void run_on(int processor)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(processor % sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof set, &set);
}

static struct sockaddr_in address_of(const char *text, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	if (inet_pton(AF_INET, text, &address.sin_addr) != 1) {
		fprintf(stderr, "%s: found no IPv4 address\n", text);
		exit(2);
	}
	return address;
}

static int bound(int type, const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, type, 0), one = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    bind(fd, (const struct sockaddr *)address, sizeof *address) < 0)
		fail("socket");
	return fd;
}

/* Both ends of one connection, which has been answered. */
static void open_datagrams(struct lane *lane)
{
	struct timeval second = { .tv_sec = 1 };
	enter(lane->server_namespace);
	lane->server = bound(SOCK_DGRAM, &to);
	enter(lane->client_namespace);
	lane->client = bound(SOCK_DGRAM, &from);
	if (setsockopt(lane->client, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second) < 0 ||
	    setsockopt(lane->server, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second) < 0 ||
	    connect(lane->client, (struct sockaddr *)&to, sizeof to) < 0 ||
	    connect(lane->server, (struct sockaddr *)&from, sizeof from) < 0)
		fail("datagrams");
	if (send(lane->client, buffer, PAYLOAD, 0) < 0 || recv(lane->server, buffer, PAYLOAD, 0) < 0 ||
	    send(lane->server, buffer, PAYLOAD, 0) < 0 || recv(lane->client, buffer, PAYLOAD, 0) < 0)
		fail("no answer: the connection is not let through");
}

/* The client's packets are written whole; those that the server does not read are thrown away when they are there. */
static void open_packets(struct lane *lane)
{
	struct sockaddr_in nobody = { .sin_family = AF_UNSPEC };
	int small = 4096;
	open_datagrams(lane);
	close(lane->client);
	enter(lane->client_namespace);
	lane->client = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (lane->client < 0 || connect(lane->client, (struct sockaddr *)&to, sizeof to) < 0 ||
	    connect(lane->server, (struct sockaddr *)&nobody, sizeof nobody) < 0 ||
	    setsockopt(lane->server, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) < 0)
		fail("packets");
}

static void send_packets(struct lane *lane, long count, int new_each)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char payload[20];
	} __attribute__((packed)) packet = {
		.ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP },
		.udp = { .source = from.sin_port, .dest = to.sin_port },
	};
	packet.ip.saddr = from.sin_addr.s_addr;
	packet.ip.daddr = to.sin_addr.s_addr;
	packet.udp.len = htons(sizeof packet.udp + sizeof packet.payload);
	for (long i = 0; i < count; i++) {
		if (new_each)
			packet.udp.source = htons(1024 + lane->begun++ % 60000);
		if (send(lane->client, &packet, sizeof packet, 0) < 0 && errno != ENOBUFS)
			fail("send");
	}
}

static void run_same(struct lane *lane, long count)
{
	send_packets(lane, count, 0);
}

static void run_new(struct lane *lane, long count)
{
	send_packets(lane, count, 1);
}

static void run_echo(struct lane *lane, long count)
{
	for (long i = 0; i < count; i++) {
		if (send(lane->client, buffer, PAYLOAD, 0) < 0 || recv(lane->server, buffer, PAYLOAD, 0) < 0 ||
		    send(lane->server, buffer, PAYLOAD, 0) < 0 || recv(lane->client, buffer, PAYLOAD, 0) < 0)
			fail("echo");
	}
}

static void open_talk(struct lane *lane)
{
	struct timeval forever = { 0 };
	open_datagrams(lane);
	if (setsockopt(lane->server, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever) < 0)
		fail("talk");
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_on(1);
		for (;;)
			if (recv(lane->server, buffer, PAYLOAD, 0) < 0 || send(lane->server, buffer, PAYLOAD, 0) < 0)
				_exit(1);
	}
}

static void run_talk(struct lane *lane, long count)
{
	for (long i = 0; i < count; i++)
		if (send(lane->client, buffer, PAYLOAD, 0) < 0 || recv(lane->client, buffer, PAYLOAD, 0) < 0)
			fail("talk");
}

static void open_listener(struct lane *lane)
{
	enter(lane->server_namespace);
	lane->server = bound(SOCK_STREAM, &to);
	if (listen(lane->server, 16) < 0)
		fail("listen");
}

static int connected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		fail("connect");
	return fd;
}

static void run_connect(struct lane *lane, long count)
{
	struct linger reset = { .l_onoff = 1 };
	enter(lane->client_namespace);
	for (long i = 0; i < count; i++) {
		int client = connected(), server = accept(lane->server, NULL, NULL);
		if (server < 0 || setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) < 0)
			fail("accept");
		close(client);
		close(server);
	}
}

static void open_stream(struct lane *lane)
{
	int listener;
	open_listener(lane);
	listener = lane->server;
	enter(lane->client_namespace);
	lane->client = connected();
	lane->server = accept(listener, NULL, NULL);
	if (lane->server < 0)
		fail("accept");
	close(listener);
}

static void run_stream(struct lane *lane, long count)
{
	for (long left = count * CHUNK; left > 0;) {
		ssize_t sent = send(lane->client, buffer, left < CHUNK ? left : CHUNK, MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN)
			fail("send");
		if (sent > 0)
			left -= sent;
		while (recv(lane->server, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
			;
	}
}

static const struct mode modes[] = {
	{ "same", open_packets, run_same },	{ "new", open_packets, run_new },
	{ "echo", open_datagrams, run_echo },	{ "talk", open_talk, run_talk },
	{ "connect", open_listener, run_connect }, { "stream", open_stream, run_stream },
};

static void shuffle(int *order, int count)
{
	for (int i = count - 1; i > 0; i--) {
		int j = rand() % (i + 1), other = order[i];
		order[i] = order[j];
		order[j] = other;
	}
}

static void run_rounds(const struct mode *mode, struct lane *lanes, int count, long rounds)
{
	/* Below what the kernel leaves to others, 50 ms in each second: a pause between rounds, and nobody waits for long. */
	struct timespec pause = { .tv_nsec = 2000000 };
	double took[LANES];
	int order[LANES];
	for (int i = 0; i < count; i++)
		order[i] = i;
	while (rounds-- > 0) {
		shuffle(order, count);
		nanosleep(&pause, NULL);
		for (int i = 0; i < count; i++) {
			struct lane *lane = &lanes[order[i]];
			double start;
			mode->run(lane, lane->count / 10 + 1);
			start = now();
			mode->run(lane, lane->count);
			took[order[i]] = (now() - start) / lane->count;
		}
		for (int i = 0; i < count; i++)
			printf("%.1f%c", took[i], i + 1 < count ? ' ' : '\n');
	}
}

int main(int argc, char **argv)
{
	struct sched_param priority = { .sched_priority = 50 };
	static struct lane lanes[LANES];
	const struct mode *mode = NULL;
	int count = argc - 6;
	for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; i++)
		if (!strcmp(modes[i].name, argv[1]))
			mode = &modes[i];
	if (!mode || count < 1 || count > LANES) {
		fprintf(stderr, "usage: see the head of rounds.c\n");
		return 2;
	}
	from = address_of(argv[2], 40000);
	to = address_of(argv[3], atoi(argv[4]));
	run_on(0);
	if (sched_setscheduler(0, SCHED_FIFO, &priority) < 0)
		fail("real-time priority");
	for (int i = 0; i < count; i++) {
		lanes[i].client_namespace = strtok(argv[6 + i], ",");
		lanes[i].server_namespace = strtok(NULL, ",");
		lanes[i].count = atol(strtok(NULL, ","));
		mode->open(&lanes[i]);
	}
	srand(getpid());
	run_rounds(mode, lanes, count, atol(argv[5]));
	return 0;
}
