/*
 * blast send SOURCE DESTINATION PORT COUNT MODE: sends COUNT UDP packets and prints ns per packet on standard output.
 *   MODE `same`: one connection, which has been answered before; `new`: every packet begins a connection of its own.
 * blast sink ADDRESS PORT: takes what comes, and answers packets that begin with 'R'. Prints `ready`.
 *
 * blast watch CLIENT-NAMESPACE SERVER-NAMESPACE SOURCE DESTINATION PORT: sends a packet of a new connection every 100 us, and prints
 *   when (CLOCK_MONOTONIC, ns) the first was sent that came through (1), or did not (0) any more.
 * blast accept ADDRESS PORT, blast storm DESTINATION PORT SECONDS: TCP connections, one after the other; prints how many a second.
 *
 * A veth pair hands a packet on inside the system call that sends it, so the sender's time is that of the whole way.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
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

static struct sockaddr_in address_of(const char *text, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
		fail(text);
	return address;
}

static _Noreturn void sink(const char *address, int port)
{
	struct sockaddr_in own = address_of(address, port), from;
	char packet[64];
	int fd = socket(AF_INET, SOCK_DGRAM, 0), small = 4096;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) < 0 ||
	    bind(fd, (struct sockaddr *)&own, sizeof own) < 0)
		fail("sink");
	puts("ready");
	fflush(stdout);
	for (;;) {
		socklen_t length = sizeof from;
		ssize_t size;
		while ((size = recvfrom(fd, packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&from, &length)) >= 0) {
			if (size > 0 && packet[0] == 'R' && sendto(fd, "A", 1, 0, (struct sockaddr *)&from, length) < 0)
				fail("answer");
			length = sizeof from;
		}
		usleep(5000);
	}
}

static int send_all(const char *source, const char *destination, int port, long count, int new_each)
{
	struct sockaddr_in to = address_of(destination, port), from = address_of(source, 40000);
	struct {
		struct iphdr ip;
		struct udphdr udp;
		char payload[20];
	} __attribute__((packed)) packet;
	char answer[16];
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		fail("raw socket");
	memset(&packet, 0, sizeof packet);
	packet.ip.version = 4;
	packet.ip.ihl = 5;
	packet.ip.ttl = 64;
	packet.ip.protocol = IPPROTO_UDP;
	packet.ip.saddr = from.sin_addr.s_addr;
	packet.ip.daddr = to.sin_addr.s_addr;
	packet.udp.source = from.sin_port;
	packet.udp.dest = to.sin_port;
	packet.udp.len = htons(sizeof packet.udp + sizeof packet.payload);
	if (!new_each) {
		struct timeval second = { .tv_sec = 1 };
		int udp = socket(AF_INET, SOCK_DGRAM, 0);
		if (udp < 0 || setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second) < 0 ||
		    bind(udp, (struct sockaddr *)&from, sizeof from) < 0 ||
		    connect(udp, (struct sockaddr *)&to, sizeof to) < 0)
			fail("connection");
		if (send(udp, "R", 1, 0) < 0 || recv(udp, answer, sizeof answer, 0) < 0)
			fail("no answer: the connection is not let through");
	}
	double start = now();
	for (long i = 0; i < count; i++) {
		if (new_each)
			packet.udp.source = htons(1024 + i % 60000);
		if (send(fd, &packet, sizeof packet, 0) < 0 && errno != ENOBUFS)
			fail("send");
	}
	printf("%.1f\n", (now() - start) / count);
	return 0;
}

static void enter(const char *path)
{
	int fd = open(path, O_RDONLY);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail(path);
	close(fd);
}

struct packet {
	struct iphdr ip;
	struct udphdr udp;
	unsigned int number;
} __attribute__((packed));

static _Noreturn void watch(char **arguments)
{
	struct sockaddr_in from = address_of(arguments[2], 0), to = address_of(arguments[3], atoi(arguments[4]));
	struct timespec pause = { .tv_nsec = 100000 };
	struct packet packet;
	unsigned int number = 0, received;
	int sending, receiving, before = -1;
	prctl(PR_SET_TIMERSLACK, 1UL);
	enter(arguments[1]);
	receiving = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (receiving < 0 || bind(receiving, (struct sockaddr *)&to, sizeof to) < 0)
		fail("receiver");
	enter(arguments[0]);
	sending = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (sending < 0 || connect(sending, (struct sockaddr *)&to, sizeof to) < 0)
		fail("sender");
	memset(&packet, 0, sizeof packet);
	packet.ip.version = 4;
	packet.ip.ihl = 5;
	packet.ip.ttl = 64;
	packet.ip.protocol = IPPROTO_UDP;
	packet.ip.saddr = from.sin_addr.s_addr;
	packet.ip.daddr = to.sin_addr.s_addr;
	packet.udp.dest = to.sin_port;
	packet.udp.len = htons(sizeof packet.udp + sizeof packet.number);
	for (;;) {
		double sent = now();
		int came = 0;
		packet.number = ++number;
		packet.udp.source = htons(1024 + number % 60000);
		send(sending, &packet, sizeof packet, 0);
		while (recv(receiving, &received, sizeof received, 0) == sizeof received)
			came |= received == number;
		if (came != before) {
			printf("%.0f %d\n", sent, came);
			fflush(stdout);
			before = came;
		}
		nanosleep(&pause, NULL);
	}
}

static _Noreturn void accept_all(const char *address, int port)
{
	struct sockaddr_in own = address_of(address, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    bind(fd, (struct sockaddr *)&own, sizeof own) < 0 || listen(fd, 1024) < 0)
		fail("listener");
	puts("ready");
	fflush(stdout);
	for (;;) {
		int connection = accept(fd, NULL, NULL);
		if (connection >= 0)
			close(connection);
	}
}

static int storm(const char *destination, int port, int seconds)
{
	struct sockaddr_in to = address_of(destination, port);
	struct linger reset = { .l_onoff = 1 };
	double start = now();
	long count = 0;
	for (; now() - start < seconds * 1e9; count++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) < 0 ||
		    connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
			fail("connect");
		close(fd);
	}
	printf("%.0f\n", count / ((now() - start) / 1e9));
	return 0;
}

int main(int argc, char **argv)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (argc == 4 && !strcmp(argv[1], "sink"))
		sink(argv[2], atoi(argv[3]));
	if (argc == 7 && !strcmp(argv[1], "watch"))
		watch(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "accept"))
		accept_all(argv[2], atoi(argv[3]));
	if (argc == 5 && !strcmp(argv[1], "storm"))
		return storm(argv[2], atoi(argv[3]), atoi(argv[4]));
	if (argc == 7 && !strcmp(argv[1], "send")) {
		sched_setaffinity(0, sizeof one, &one);
		return send_all(argv[2], argv[3], atoi(argv[4]), atol(argv[5]), !strcmp(argv[6], "new"));
	}
	fprintf(stderr, "usage: see the head of blast.c\n");
	return 2;
}
