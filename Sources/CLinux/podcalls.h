// Owns: system calls as the pod init makes them: straight to the kernel, a negative errno as the result. While a
// container starts, its child shares the init's memory, so the C library's one errno is the child's alone. Not for Swift.
#ifndef STINT_POD_CALLS_H
#define STINT_POD_CALLS_H

#include <sys/mman.h>
#include <sys/syscall.h>

static inline long stint_call6(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
#else
#error "system calls of this processor are not written down yet"
#endif
}

static inline long stint_call(long number, long a, long b, long c, long d, long e) {
  return stint_call6(number, a, b, c, d, e, 0);
}

static inline long stint_kill(long pid, int signo) { return stint_call(SYS_kill, pid, signo, 0, 0, 0); }

static inline void stint_close(int descriptor) { stint_call(SYS_close, descriptor, 0, 0, 0, 0); }

static inline long stint_read(int descriptor, void *bytes, unsigned long room) {
  return stint_call(SYS_read, descriptor, (long)bytes, (long)room, 0, 0);
}

// Private memory of zeroes; NULL when there is none.
static inline void *stint_map(unsigned long size) {
  long start = stint_call6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return start < 0 && start > -4096 ? 0 : (void *)start;
}

static inline void stint_unmap(void *start, unsigned long size) {
  stint_call(SYS_munmap, (long)start, (long)size, 0, 0, 0);
}

static inline int stint_open_at(int directory, const char *path, int flags) {
  return (int)stint_call(SYS_openat, directory, (long)path, flags, 0, 0);
}

#endif
