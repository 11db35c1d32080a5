/*
 * Sends recorded netlink datagrams and reads the answers, as fast as it can: what bench/kernel measures itself against.
 *
 *     replay /run/netns/NAME FILE
 *
 * FILE has datagrams, each after its length (u32, host order). After a datagram of requests the acknowledgement of its
 * last message is awaited, after a dump request all of the dump, whose routes are put into a hash table of prefixes, with
 * what each does interned: the work that Margay does with a dump. Prints as JSON the time of that in ns, the requests that
 * were refused, and the routes in the table.
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

#define SLOTS (1 << 18) /* for 100,000 routes */
#define SETS 64
#define PATH_BYTES 256

static char buffer[1 << 16];
static unsigned long refused, routes;

/* Open addressing; `head` is the number of the set plus one, times 256, and the prefix length: 0 in an empty slot. */
static struct row {
	unsigned int head, address[4];
} *table;

static struct set {
	unsigned int hash, length;
	unsigned char path[PATH_BYTES];
} sets[SETS];
static unsigned int set_count;

static void fail(const char *what)
{
	fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned int mix(unsigned int hash)
{
	hash ^= hash >> 16;
	hash *= 0x21f0aaad;
	hash ^= hash >> 15;
	hash *= 0x735a2d97;
	return hash ^ hash >> 15;
}

static unsigned int intern(const unsigned char *path, unsigned int length, unsigned int hash)
{
	for (unsigned int i = 0; i < set_count; i++)
		if (sets[i].hash == hash && sets[i].length == length && memcmp(sets[i].path, path, length) == 0)
			return i;
	if (set_count == SETS) {
		errno = ENOSPC;
		fail("next-hop sets");
	}
	sets[set_count].hash = hash;
	sets[set_count].length = length;
	memcpy(sets[set_count].path, path, length);
	return set_count++;
}

static void insert(const unsigned int address[4], unsigned int length, unsigned int set)
{
	/* The last three bits of the prefix choose among eight neighbouring slots, as they do in Margay's tables. */
	unsigned int word = length > 32 ? 1 : 0, shift = 31 - ((length - 1) & 31), hash, slot;
	unsigned int low = address[word] >> shift & 7;

	hash = mix(address[0] - (word == 0 ? low << shift : 0) + length);
	hash = mix(hash ^ (address[1] - (word == 1 ? low << shift : 0)));
	if (address[2] | address[3])
		hash = mix(mix(hash ^ address[2]) ^ address[3]);
	for (slot = ((hash & ~7u) | low) % SLOTS; table[slot].head; slot = (slot + 1) % SLOTS)
		if (memcmp(table[slot].address, address, 16) == 0 && (table[slot].head & 0xff) == length)
			return;
	table[slot].head = (set + 1) << 8 | length;
	memcpy(table[slot].address, address, 16);
	routes++;
}

static void take(const struct nlmsghdr *message)
{
	const struct rtmsg *route = NLMSG_DATA(message);
	int left = RTM_PAYLOAD(message);
	unsigned int address[4] = { 0 }, words[4], length = 4, hash;
	unsigned char path[PATH_BYTES];

	path[0] = route->rtm_family;
	path[1] = route->rtm_scope;
	path[2] = route->rtm_type;
	path[3] = route->rtm_flags & RTNH_F_ONLINK;
	hash = route->rtm_type;
	for (const struct rtattr *at = RTM_RTA(route); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		switch (at->rta_type) {
		case RTA_DST:
			memset(words, 0, sizeof(words));
			memcpy(words, RTA_DATA(at), RTA_PAYLOAD(at) < 16 ? RTA_PAYLOAD(at) : 16);
			for (int i = 0; i < 4; i++)
				address[i] = __builtin_bswap32(words[i]);
			break;
		case RTA_OIF:
		case RTA_GATEWAY:
		case RTA_PREFSRC:
		case RTA_VIA:
		case RTA_METRICS:
		case RTA_MULTIPATH:
			if (length + RTA_ALIGN(at->rta_len) > PATH_BYTES)
				break;
			memcpy(path + length, at, RTA_ALIGN(at->rta_len));
			for (unsigned int i = 0; i < RTA_ALIGN(at->rta_len); i += 4) {
				unsigned int word;

				memcpy(&word, (const char *)at + i, 4);
				hash = (hash << 5 | hash >> 27) ^ word;
			}
			length += RTA_ALIGN(at->rta_len);
		}
	}
	insert(address, route->rtm_dst_len, intern(path, length, hash));
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
				take(m);
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
	table = calloc(SLOTS, sizeof(*table));
	if (!table)
		fail("table");
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
	printf("{\"ns\":%lld,\"refused\":%lu,\"routes\":%lu}\n",
	       (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec, refused, routes);
	return refused ? 1 : 0;
}
