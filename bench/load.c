/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Load between two pods, as fast as it goes, for bench/load.py.
 *   load server KIND PORT                   says "ready", serves until it is killed
 *   load client KIND HOST PORT N FILE       N at a time; FILE (mapped) holds the count of each, 64 bytes apart
 *
 * KIND      one count is
 * rr        64 bytes there and back on a TCP connection that stays
 * udp       the same in datagrams
 * http      an HTTP/1.1 request and its response on a connection that stays
 * http-new  a connection, a request, its response, and the server closes (Connection: close)
 * bulk      64 KiB sent on a TCP connection that stays
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

#define SMALL 64
#define BLOCK (64 << 10)
#define BODY 1000
#define STACK (128 << 10)

static struct sockaddr_in address;
static const char *kind;
static char response[2][BODY + 512]; /* keep-alive, close */
static int response_length[2];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int is(const char *name)
{
	return !strcmp(kind, name);
}

static int no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int read_all(int fd, char *to, int n)
{
	for (int got = 0, r; got < n; got += r)
		if ((r = read(fd, to + got, n - got)) <= 0)
			return -1;
	return 0;
}

static int write_all(int fd, const char *from, int n)
{
	for (int sent = 0, r; sent < n; sent += r)
		if ((r = write(fd, from + sent, n - sent)) <= 0)
			return -1;
	return 0;
}

static void start(void *(*what)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, what, argument))
		die("thread");
	pthread_attr_destroy(&attributes);
}

/* --- HTTP/1.1 (RFC 9112) ------------------------------------------------------------------------------------------- */

/* Reads to the end of a head and ends it with a 0; bytes read in all, -1 when the connection ended before. */
static int read_head(int fd, char *buffer, int size, int *head)
{
	char *end;

	for (int got = 0, r; got < size - 1;) {
		if ((r = read(fd, buffer + got, size - 1 - got)) <= 0)
			return -1;
		got += r;
		buffer[got] = 0;
		if ((end = strstr(buffer, "\r\n\r\n"))) {
			*head = end + 4 - buffer;
			return got;
		}
	}
	return -1;
}

static void make_responses(void)
{
	for (int i = 0; i < 2; i++) {
		int n = sprintf(response[i],
				"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
				"Server: load\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n",
				BODY, i ? "close" : "keep-alive");

		memset(response[i] + n, 'x', BODY);
		response_length[i] = n + BODY;
	}
}

static int answer_http(int fd, char *buffer)
{
	int head, closes;

	if (read_head(fd, buffer, BLOCK, &head) < 0 || strncmp(buffer, "GET /", 5))
		return -1;
	closes = !!strcasestr(buffer, "\r\nConnection: close\r\n");
	if (write_all(fd, response[closes], response_length[closes]))
		return -1;
	return closes ? -1 : 0;
}

static int ask_http(int fd, char *buffer, int closes)
{
	int got, head, length, n = sprintf(buffer,
					   "GET /catalogue/42?page=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: load/1\r\n"
					   "Accept: application/json\r\nConnection: %s\r\n\r\n",
					   closes ? "close" : "keep-alive");
	char *field;

	if (write_all(fd, buffer, n) || (got = read_head(fd, buffer, BLOCK, &head)) < 0)
		return -1;
	if (strncmp(buffer, "HTTP/1.1 200 ", 13) || !(field = strcasestr(buffer, "\r\nContent-Length:")))
		return -1;
	length = atoi(field + 17);
	return read_all(fd, buffer, length - (got - head));
}

/* --- server ---------------------------------------------------------------------------------------------------------- */

static void *serve(void *argument)
{
	int fd = no_delay((int)(intptr_t)argument);
	char *buffer = malloc(BLOCK);

	if (is("rr"))
		while (!read_all(fd, buffer, SMALL) && !write_all(fd, buffer, SMALL))
			;
	else if (is("bulk"))
		while (read(fd, buffer, BLOCK) > 0)
			;
	else
		while (!answer_http(fd, buffer))
			;
	close(fd);
	free(buffer);
	return 0;
}

static void echo(int fd)
{
	struct sockaddr_in from;
	char buffer[SMALL];

	for (;;) {
		socklen_t length = sizeof(from);
		int n = recvfrom(fd, buffer, sizeof(buffer), 0, (void *)&from, &length);

		if (n > 0)
			sendto(fd, buffer, n, 0, (void *)&from, length);
	}
}

static void server(int port)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, fd = socket(AF_INET, is("udp") ? SOCK_DGRAM : SOCK_STREAM, 0);

	make_responses();
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&any, sizeof(any)) || (!is("udp") && listen(fd, 512)))
		die("listen");
	puts("ready");
	fflush(stdout);
	if (is("udp"))
		echo(fd);
	for (;;) {
		int accepted = accept(fd, 0, 0);

		if (accepted >= 0)
			start(serve, (void *)(intptr_t)accepted);
	}
}

/* --- client ---------------------------------------------------------------------------------------------------------- */

static int dial(void)
{
	int fd = socket(AF_INET, is("udp") ? SOCK_DGRAM : SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (void *)&address, sizeof(address)))
		die("connect");
	return is("udp") ? fd : no_delay(fd);
}

static int once(int fd, char *buffer)
{
	if (is("bulk"))
		return write_all(fd, buffer, BLOCK);
	if (is("http"))
		return ask_http(fd, buffer, 0);
	return write_all(fd, buffer, SMALL) || read_all(fd, buffer, SMALL);
}

static void *call(void *argument)
{
	volatile uint64_t *count = argument;
	char *buffer = calloc(1, BLOCK);
	int fd = is("http-new") ? -1 : dial();
	struct timeval patience = {.tv_sec = 1};

	if (is("udp")) /* a datagram may be lost, and is asked again */
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (;;) {
		if (is("http-new")) {
			fd = dial();
			*count += !ask_http(fd, buffer, 1) && read(fd, buffer, 1) == 0;
			close(fd);
		} else if (!once(fd, buffer)) {
			++*count;
		} else if (!is("udp")) {
			die("round trip");
		}
	}
	return 0;
}

static void client(int n, const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT, 0600);
	uint64_t *counts;

	if (fd < 0 || ftruncate(fd, n * 64))
		die(file);
	counts = mmap(0, n * 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int i = 0; i < n; i++)
		start(call, counts + i * 8);
	puts("ready");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "server")) {
		kind = argv[2];
		server(atoi(argv[3]));
	} else if (argc == 7 && !strcmp(argv[1], "client")) {
		kind = argv[2];
		address.sin_family = AF_INET;
		address.sin_port = htons(atoi(argv[4]));
		inet_pton(AF_INET, argv[3], &address.sin_addr);
		client(atoi(argv[5]), argv[6]);
	}
	return 2;
}
