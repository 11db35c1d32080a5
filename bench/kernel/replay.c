/*
 * Sends recorded netlink datagrams and reads the answers, as fast as it can: what bench/kernel measures itself against.
 *
 *     replay /run/netns/NAME FILE
 *
 * FILE has datagrams, each after its length (u32, host order). After a datagram of requests the acknowledgement of its
 * last message is awaited, after a dump request all of the dump, whose attributes are walked. Prints as JSON the time of
 * that in ns, the requests that were refused, and the routes that were dumped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 16];
static unsigned long refused, routes, checksum;

static void fail(const char *what)
{
	fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void walk(const struct nlmsghdr *message)
{
	const struct rtmsg *route = NLMSG_DATA(message);
	int left = RTM_PAYLOAD(message);

	routes++;
	for (const struct rtattr *at = RTM_RTA(route); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		unsigned int first = 0;

		if (RTA_PAYLOAD(at) >= 4)
			memcpy(&first, RTA_DATA(at), 4);
		checksum += first ^ at->rta_type;
	}
}

/* Reads until the answer to message `last`, or the end of a dump. */
static void receive(int fd, unsigned int last)
{
	for (;;) {
		long got = recv(fd, buffer, sizeof(buffer), 0);

		if (got < 0)
			fail("recv");
		for (struct nlmsghdr *m = (void *)buffer; NLMSG_OK(m, got); m = NLMSG_NEXT(m, got)) {
			if (m->nlmsg_type == NLMSG_ERROR) {
				if (((struct nlmsgerr *)NLMSG_DATA(m))->error != 0)
					refused++;
				if (m->nlmsg_seq == last)
					return;
			} else if (m->nlmsg_type == NLMSG_DONE) {
				return;
			} else {
				walk(m);
			}
		}
	}
}

static int open_socket(const char *netns)
{
	int ns = open(netns, O_RDONLY);
	int fd, one = 1, large = 8 << 20, send_room = 1 << 20;
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };

	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		fail(netns);
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof(large));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_room, sizeof(send_room));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("bind");
	return fd;
}

static unsigned int last_sequence(const char *datagram, unsigned int length)
{
	const struct nlmsghdr *m = (const void *)datagram;
	unsigned int sequence = 0;

	for (; NLMSG_OK(m, length); m = NLMSG_NEXT(m, length))
		sequence = m->nlmsg_seq;
	return sequence;
}

int main(int argc, char **argv)
{
	struct stat file;
	struct timespec from, to;
	char *bytes, *at;
	int fd, in;

	if (argc != 3) {
		fprintf(stderr, "usage: replay /run/netns/NAME FILE\n");
		return 2;
	}
	in = open(argv[2], O_RDONLY);
	if (in < 0 || fstat(in, &file) < 0)
		fail(argv[2]);
	bytes = malloc(file.st_size);
	if (!bytes || read(in, bytes, file.st_size) != file.st_size)
		fail(argv[2]);
	fd = open_socket(argv[1]);

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (at = bytes; at < bytes + file.st_size;) {
		unsigned int length;

		memcpy(&length, at, 4);
		at += 4;
		if (send(fd, at, length, 0) < 0)
			fail("send");
		receive(fd, last_sequence(at, length));
		at += length;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("{\"ns\":%lld,\"refused\":%lu,\"routes\":%lu,\"checksum\":%lu}\n",
	       (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec, refused, routes, checksum);
	return refused ? 1 : 0;
}
