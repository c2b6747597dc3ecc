/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request and response, as fast as it goes, for bench/agent_throughput.py.
 *   rr server PORT REQUEST RESPONSE                  answer every REQUEST bytes with RESPONSE bytes
 *   rr client HOST PORT REQUEST RESPONSE N FILE      N connections; FILE (mapped) holds the count of round trips of each
 *                                                    -N: N at a time, and a new one for each round trip
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int request_bytes, response_bytes;
static struct sockaddr_in address;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int read_all(int fd, char *to, int n)
{
	for (int got = 0, r; got < n; got += r)
		if ((r = read(fd, to + got, n - got)) <= 0)
			return -1;
	return 0;
}

static int no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void *serve(void *argument)
{
	int fd = no_delay((int)(intptr_t)argument);
	char *buffer = calloc(1, 1 << 16);

	while (!read_all(fd, buffer, request_bytes) && write(fd, buffer, response_bytes) == response_bytes)
		;
	close(fd);
	free(buffer);
	return 0;
}

static void *call(void *argument)
{
	volatile uint64_t *count = argument;
	int fd = no_delay(socket(AF_INET, SOCK_STREAM, 0));
	char *buffer = calloc(1, 1 << 16);

	if (connect(fd, (void *)&address, sizeof(address)))
		die("connect");
	while (write(fd, buffer, request_bytes) == request_bytes && !read_all(fd, buffer, response_bytes))
		++*count;
	die("round trip");
	return 0;
}

/* Ended by a reset, or the ports would be waiting before long. */
static void *call_anew(void *argument)
{
	volatile uint64_t *count = argument;
	struct linger at_once = {.l_onoff = 1};
	char *buffer = calloc(1, 1 << 16);

	for (;;) {
		int fd = no_delay(socket(AF_INET, SOCK_STREAM, 0));

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		if (connect(fd, (void *)&address, sizeof(address)))
			die("connect");
		if (write(fd, buffer, request_bytes) == request_bytes && !read_all(fd, buffer, response_bytes))
			++*count;
		close(fd);
	}
}

static void server(int port)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	pthread_t thread;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (void *)&any, sizeof(any)) || listen(listener, 64))
		die("listen");
	puts("ready");
	fflush(stdout);
	for (;;)
		if (!pthread_create(&thread, 0, serve, (void *)(intptr_t)accept(listener, 0, 0)))
			pthread_detach(thread);
}

static void client(int n, const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT, 0600);
	void *(*what)(void *) = n < 0 ? call_anew : call;
	uint64_t *counts;
	pthread_t thread;

	n = n < 0 ? -n : n;

	if (fd < 0 || ftruncate(fd, n * 64))
		die(file);
	counts = mmap(0, n * 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int i = 0; i < n; i++) /* a cache line each */
		pthread_create(&thread, 0, what, counts + i * 8);
	puts("ready");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "server")) {
		request_bytes = atoi(argv[3]);
		response_bytes = atoi(argv[4]);
		server(atoi(argv[2]));
	} else if (argc == 8 && !strcmp(argv[1], "client")) {
		address.sin_family = AF_INET;
		address.sin_port = htons(atoi(argv[3]));
		inet_pton(AF_INET, argv[2], &address.sin_addr);
		request_bytes = atoi(argv[4]);
		response_bytes = atoi(argv[5]);
		client(atoi(argv[6]), argv[7]);
	}
	return 2;
}
