/*
 * Calls a CNI plugin for many containers at once and prints how long each call took, in microseconds, a line each:
 *
 *     bench-launch PLUGIN INPUT COMMAND ID=NETNS...
 *
 * INPUT is a file for standard input. A runtime starts its plugins about as cheaply as this does. It ends with status 1 when a
 * call failed; what the plugin said is on standard error then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct call {
	pid_t pid;
	double started;
	int out;
};

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static void start(struct call *call, const char *plugin, const char *input, const char *command, char *container)
{
	char *program[] = { (char *)plugin, NULL };
	char id[600], netns[600], verb[64], args[700];
	char *equals = strchr(container, '=');
	char **env;
	size_t count = 0, kept = 0;
	posix_spawn_file_actions_t actions;
	char name[] = "/tmp/bench-launch-XXXXXX";

	if (equals == NULL)
		exit(2);
	*equals = 0;
	snprintf(id, sizeof id, "CNI_CONTAINERID=%s", container);
	snprintf(netns, sizeof netns, "CNI_NETNS=%s", equals + 1);
	snprintf(verb, sizeof verb, "CNI_COMMAND=%s", command);
	snprintf(args, sizeof args, "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=bench;K8S_POD_NAME=%s", container);
	while (environ[count] != NULL)
		count++;
	env = calloc(count + 6, sizeof *env);
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], "CNI_", 4) != 0)
			env[kept++] = environ[i];
	env[kept++] = id;
	env[kept++] = netns;
	env[kept++] = verb;
	env[kept++] = args;
	env[kept++] = "CNI_PATH=/usr/lib/cni";
	env = realloc(env, (kept + 2) * sizeof *env);
	env[kept++] = "CNI_IFNAME=eth0";
	env[kept] = NULL;

	call->out = mkostemp(name, O_CLOEXEC);
	if (call->out < 0)
		fail("mkostemp");
	unlink(name);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, call->out, 1);
	call->started = now_us();
	errno = posix_spawn(&call->pid, plugin, &actions, NULL, program, env);
	if (errno != 0)
		fail(plugin);
	posix_spawn_file_actions_destroy(&actions);
	free(env);
}

int main(int argc, char **argv)
{
	int count = argc - 4, failed = 0;
	struct call *calls;

	if (count < 1) {
		fputs("usage: bench-launch PLUGIN INPUT COMMAND ID=NETNS...\n", stderr);
		return 2;
	}
	calls = calloc((size_t)count, sizeof *calls);
	for (int i = 0; i < count; i++)
		start(&calls[i], argv[1], argv[2], argv[3], argv[4 + i]);
	for (int left = count; left > 0;) {
		int status;
		double ended;
		pid_t pid = waitpid(-1, &status, 0);
		if (pid < 0) {
			if (errno == EINTR)
				continue;
			fail("waitpid");
		}
		ended = now_us();
		for (int i = 0; i < count; i++) {
			if (calls[i].pid != pid)
				continue;
			left--;
			printf("%.0f\n", ended - calls[i].started);
			if (status != 0) {
				char text[4096];
				ssize_t length = pread(calls[i].out, text, sizeof text - 1, 0);
				text[length > 0 ? length : 0] = 0;
				fprintf(stderr, "%s %s: %s\n", argv[3], argv[4 + i], text);
				failed = 1;
			}
		}
	}
	return failed;
}
