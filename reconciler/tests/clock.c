/* Preloaded, it sets the time of day of one program: to the seconds since 1970 in the file that TEST_CLOCK names. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
	long result = syscall(SYS_clock_gettime, clock, time);
	FILE *file;

	if (clock != CLOCK_REALTIME || !(file = fopen(getenv("TEST_CLOCK"), "r")))
		return result;
	if (fscanf(file, "%ld", &time->tv_sec) != 1)
		time->tv_sec = 0;
	fclose(file);
	return result;
}
