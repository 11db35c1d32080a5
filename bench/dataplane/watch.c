/*
 * watch CLIENT-NAMESPACE SERVER-NAMESPACE SOURCE DESTINATION PORT: sends a packet of a new connection every 100 us, and prints when
 * (CLOCK_MONOTONIC, ns) the first was sent that came through (1), or did not (0) any more.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
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

int main(int argc, char **argv)
{
	if (argc == 6)
		watch(argv + 1);
	fprintf(stderr, "usage: see the head of watch.c\n");
	return 2;
}
