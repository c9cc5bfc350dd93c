/* Makes the Nth call that changes a file below a folder fail, or records all of them, whoever makes them.
 *
 * A seccomp filter turns each such system call into SIGSYS, whose handler makes the call itself, by the only instruction
 * that the filter lets through. So calls inside the C library, SQLite, HDF5 and GDAL count as Python's do.
 *
 * Preload it (FAULT_CONTROL=file FAULT_FOLDER=folder [FAULT_LOG=file]), or load it and call fault_arm.
 * Linux on x86-64 only. A process that is armed stays so, and its children with it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

enum mode { COUNT, FAIL_ONCE, FULL_FROM_HERE, SHORT_WRITE, KILL, TERMINATE };
enum kind { NONE, WRITE, SYNC, RENAME, CREATE, MKDIR, UNLINK, TRUNCATE, LINK, RMDIR, SYMLINK };
static const char *const NAMES[] = {"", "write", "sync", "rename", "create", "mkdir",
                                    "unlink", "truncate", "link", "rmdir", "symlink"};

struct control { /* shared with the test, which writes nth, mode and error and reads the rest */
  volatile int64_t count, nth, mode, error, injected;
  char failed[512];
};
struct record { /* one call in the log; the two names and the written bytes follow */
  uint32_t kind, name_bytes, other_bytes, flags;
  int64_t inode, offset, length;
};

static struct control *control;
static char folder[1024];
static size_t folder_bytes;
static int log_handle = -1;
static volatile int log_lock;

/* the kernel's calling convention, in a place whose address the filter knows */
long fault_syscall(long number, long a, long b, long c, long d, long e, long f);
extern const char fault_syscall_end[];
__asm__(".pushsection .text\n.balign 4096\n.globl fault_syscall\nfault_syscall:\n"
        "mov %rdi,%rax\nmov %rsi,%rdi\nmov %rdx,%rsi\nmov %rcx,%rdx\nmov %r8,%r10\nmov %r9,%r8\nmov 8(%rsp),%r9\n"
        "syscall\nret\n.globl fault_syscall_end\nfault_syscall_end:\n.balign 4096\n.popsection\n");
#define CALL(number, a, b, c, d) \
  fault_syscall((number), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

static void copy_text(char *out, size_t size, const char *text) {
  size_t used = 0;
  while (text[used] && used + 1 < size) { out[used] = text[used]; used++; }
  out[used] = 0;
}

static void add_text(char *out, size_t size, const char *text) {
  size_t used = strlen(out);
  copy_text(out + used, size - used, text);
}

static void name_of_handle(int handle, char *out, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
  long got = handle < 0 ? -1 : CALL(SYS_readlink, link, out, size - 1, 0);
  out[got > 0 ? got : 0] = 0;
}

static void name_of_path(int base, const char *path, char *out, size_t size) {
  if (path[0] == '/' && strncmp(path, "/proc/self/fd/", 14) != 0) { copy_text(out, size, path); return; }
  if (path[0] == '/') {
    name_of_handle(atoi(path + 14), out, size);
    const char *rest = strchr(path + 14, '/');
    if (rest) add_text(out, size, rest);
    return;
  }
  if (base == AT_FDCWD) {
    if (CALL(SYS_getcwd, out, size - 1, 0, 0) <= 0) out[0] = 0;
  } else {
    name_of_handle(base, out, size);
  }
  add_text(out, size, "/");
  add_text(out, size, path);
}

struct call { enum kind kind; char name[2048], other[2048]; uint32_t flags; int handle; };

static void classify(struct call *call, long number, long a, long b, long c, long d, long e) {
  call->kind = NONE; call->name[0] = call->other[0] = 0; call->flags = 0; call->handle = -1;
#define NAME(base, path) name_of_path((int)(base), (const char *)(path), call->name, sizeof call->name)
#define OTHER(base, path) name_of_path((int)(base), (const char *)(path), call->other, sizeof call->other)
  switch (number) {
    case SYS_write: case SYS_pwrite64: case SYS_writev: case SYS_pwritev: call->kind = WRITE; call->handle = a; break;
    case SYS_fsync: case SYS_fdatasync: call->kind = SYNC; call->handle = a; break;
    case SYS_ftruncate: case SYS_fallocate: call->kind = TRUNCATE; call->handle = a; break;
    case SYS_rename: call->kind = RENAME; NAME(AT_FDCWD, a); OTHER(AT_FDCWD, b); break;
    case SYS_renameat: call->kind = RENAME; NAME(a, b); OTHER(c, d); break; /* it has no flags */
    case SYS_renameat2: call->kind = RENAME; NAME(a, b); OTHER(c, d); call->flags = e; break;
    case SYS_link: call->kind = LINK; NAME(AT_FDCWD, a); OTHER(AT_FDCWD, b); break;
    case SYS_linkat: call->kind = LINK; NAME(a, b); OTHER(c, d); break;
    case SYS_symlink: call->kind = SYMLINK; OTHER(AT_FDCWD, a); NAME(AT_FDCWD, b); break;
    case SYS_symlinkat: call->kind = SYMLINK; OTHER(AT_FDCWD, a); NAME(b, c); break;
    case SYS_open: call->kind = CREATE; NAME(AT_FDCWD, a); call->flags = b; break;
    case SYS_openat: call->kind = CREATE; NAME(a, b); call->flags = c; break;
    case SYS_mkdir: call->kind = MKDIR; NAME(AT_FDCWD, a); break;
    case SYS_mkdirat: call->kind = MKDIR; NAME(a, b); break;
    case SYS_unlink: call->kind = UNLINK; NAME(AT_FDCWD, a); break;
    case SYS_rmdir: call->kind = RMDIR; NAME(AT_FDCWD, a); break;
    case SYS_unlinkat: call->kind = (c & AT_REMOVEDIR) ? RMDIR : UNLINK; NAME(a, b); break;
    default: return;
  }
  if (call->handle >= 0) name_of_handle(call->handle, call->name, sizeof call->name);
}

static int below(const char *name) {
  return strncmp(name, folder, folder_bytes) == 0 && (name[folder_bytes] == '/' || name[folder_bytes] == 0);
}

static void put(const void *bytes, size_t length) {
  const char *at = bytes;
  while (length) {
    long wrote = CALL(SYS_write, log_handle, at, length, 0);
    if (wrote <= 0) _exit(98);
    at += wrote; length -= wrote;
  }
}

static int64_t offset_of(long number, long handle, long d) {
  if (number == SYS_pwrite64 || number == SYS_pwritev) return d;
  long flags = CALL(SYS_fcntl, handle, F_GETFL, 0, 0);
  struct stat state;
  if (flags >= 0 && (flags & O_APPEND) && CALL(SYS_fstat, handle, &state, 0, 0) == 0) return state.st_size;
  return CALL(SYS_lseek, handle, 0, SEEK_CUR, 0);
}

static void record(const struct call *call, long number, const long *args, int64_t offset, long result) {
  struct record line = {.kind = call->kind, .name_bytes = strlen(call->name), .other_bytes = strlen(call->other),
                        .flags = call->flags, .offset = offset, .length = result};
  struct stat state;
  int handle = call->kind == CREATE ? (int)result : call->handle;
  if (handle >= 0 && CALL(SYS_fstat, handle, &state, 0, 0) == 0) line.inode = state.st_ino;
  if (number == SYS_ftruncate) line.length = args[1];
  if (number == SYS_fallocate) { line.flags = args[1]; line.offset = args[2]; line.length = args[3]; }
  while (__sync_lock_test_and_set(&log_lock, 1)) CALL(SYS_sched_yield, 0, 0, 0, 0);
  put(&line, sizeof line);
  put(call->name, line.name_bytes);
  put(call->other, line.other_bytes);
  if (call->kind == WRITE && (number == SYS_write || number == SYS_pwrite64)) put((void *)args[1], result);
  if (call->kind == WRITE && (number == SYS_writev || number == SYS_pwritev)) {
    const struct iovec *pieces = (void *)args[1];
    for (long left = result, i = 0; left > 0 && i < args[2]; i++) {
      size_t length = (size_t)left < pieces[i].iov_len ? (size_t)left : pieces[i].iov_len;
      put(pieces[i].iov_base, length);
      left -= length;
    }
  }
  __sync_lock_release(&log_lock);
}

static int fills_the_disk(enum kind kind) { return kind == WRITE || kind == CREATE || kind == MKDIR || kind == TRUNCATE; }

/* returns 1 where the call must not be made, with its result */
static int inject(const struct call *call, long number, long *args, long *result) {
  int64_t nth = __sync_fetch_and_add(&control->count, 1);
  int this_one = nth == control->nth;
  int later = control->mode == FULL_FROM_HERE && nth > control->nth && fills_the_disk(call->kind);
  if (control->mode == COUNT || !(this_one || later)) return 0;
  if (this_one) snprintf(control->failed, sizeof control->failed, "%s %s", NAMES[call->kind], call->name + folder_bytes);
  if (control->mode == SHORT_WRITE) {
    if (call->kind != WRITE || (number != SYS_write && number != SYS_pwrite64) || args[2] < 2) return 0;
    args[2] /= 2; /* the caller must write the rest itself */
    __sync_fetch_and_add(&control->injected, 1);
    return 0;
  }
  if (control->mode == FULL_FROM_HERE && !fills_the_disk(call->kind)) return 0;
  __sync_fetch_and_add(&control->injected, 1);
  if (control->mode == KILL) {
    CALL(SYS_kill, CALL(SYS_getpid, 0, 0, 0, 0), SIGKILL, 0, 0);
    for (;;) CALL(SYS_sched_yield, 0, 0, 0, 0);
  }
  if (control->mode == TERMINATE) { CALL(SYS_kill, CALL(SYS_getpid, 0, 0, 0, 0), SIGTERM, 0, 0); return 0; }
  *result = -control->error;
  return 1;
}

static void handle(int signal_number, siginfo_t *info, void *context) {
  (void)signal_number;
  int kept_errno = errno;
  greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
  long number = info->si_syscall, args[6] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};
  long result = 0;
  struct call call;
  if (number == SYS_sendfile || number == SYS_copy_file_range) { /* the caller reads and writes instead */
    r[REG_RAX] = -ENOSYS; errno = kept_errno; return;
  }
  classify(&call, number, args[0], args[1], args[2], args[3], args[4]);
  int counts = call.kind != NONE && (below(call.name) || (call.kind != SYMLINK && below(call.other)));
  if (!counts || !inject(&call, number, args, &result)) {
    int64_t offset = counts && call.kind == WRITE ? offset_of(number, args[0], args[3]) : 0;
    result = fault_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
    if (counts && log_handle >= 0 && result >= 0) record(&call, number, args, offset, result);
  }
  r[REG_RAX] = result;
  errno = kept_errno;
}

static int install_handler(void) {
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART};
  return sigaction(SIGSYS, &action, NULL);
}

/* returns 0, or the errno of what this system refuses */
int fault_arm(const char *control_file, const char *counted_folder, const char *log_file) {
  static const int numbers[] = {
      SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_copy_file_range, SYS_sendfile, SYS_fsync, SYS_fdatasync,
      SYS_rename, SYS_renameat, SYS_renameat2, SYS_link, SYS_linkat, SYS_symlink, SYS_symlinkat, SYS_mkdir, SYS_mkdirat,
      SYS_unlink, SYS_unlinkat, SYS_rmdir, SYS_ftruncate, SYS_fallocate};
  enum { COUNT_OF = sizeof numbers / sizeof *numbers };
  uintptr_t start = (uintptr_t)fault_syscall, end = (uintptr_t)fault_syscall_end;
  int handle_of_control = open(control_file, O_RDWR | O_CLOEXEC);
  if (handle_of_control < 0) return errno;
  control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, handle_of_control, 0);
  close(handle_of_control);
  if (control == MAP_FAILED) return errno;
  copy_text(folder, sizeof folder, counted_folder);
  folder_bytes = strlen(folder);
  if (log_file && log_file[0] && (log_handle = open(log_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
    return errno;
  if (install_handler()) return errno;
  struct sock_filter f[64];
  int n = 0;
#define LOAD(field) f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define JUMP(test, value, yes, no) \
  f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | (test) | BPF_K, (uint32_t)(value), (uint8_t)(yes), (uint8_t)(no))
#define RETURN(what) f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (what))
  LOAD(instruction_pointer); /* its low half; the high one is read below */
  JUMP(BPF_JGE, (uint32_t)start, 0, 4);
  JUMP(BPF_JGT, (uint32_t)end, 3, 0);
  f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4);
  JUMP(BPF_JEQ, start >> 32, 0, 1);
  RETURN(SECCOMP_RET_ALLOW);
  LOAD(nr);
  JUMP(BPF_JEQ, SYS_openat, 0, 3);
  LOAD(args[2]);
  JUMP(BPF_JSET, O_CREAT | O_TRUNC, COUNT_OF + 6, 0);
  RETURN(SECCOMP_RET_ALLOW);
  JUMP(BPF_JEQ, SYS_open, 0, 3);
  LOAD(args[1]);
  JUMP(BPF_JSET, O_CREAT | O_TRUNC, COUNT_OF + 2, 0);
  RETURN(SECCOMP_RET_ALLOW);
  for (int i = 0; i < COUNT_OF; i++) JUMP(BPF_JEQ, numbers[i], COUNT_OF - i, 0);
  RETURN(SECCOMP_RET_ALLOW);
  RETURN(SECCOMP_RET_TRAP);
  struct sock_fprog program = {n, f};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program)) return errno ? errno : EBUSY;
  return 0;
}

/* a thread that blocked SIGSYS would be killed at its first write; the C library's own functions block nothing for long */
static int without_sigsys(const char *name, int how, const sigset_t *set, sigset_t *old) {
  int (*original)(int, const sigset_t *, sigset_t *) = (int (*)(int, const sigset_t *, sigset_t *))dlsym(RTLD_NEXT, name);
  sigset_t fewer;
  if (!set) return original(how, set, old);
  fewer = *set;
  if (how != SIG_UNBLOCK) sigdelset(&fewer, SIGSYS);
  return original(how, &fewer, old);
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) { return without_sigsys("pthread_sigmask", how, set, old); }
int sigprocmask(int how, const sigset_t *set, sigset_t *old) { return without_sigsys("sigprocmask", how, set, old); }

__attribute__((constructor)) static void arm_preloaded(void) {
  install_handler(); /* before Python starts: libraries that restore its signals leave alone what was there before it */
  const char *file = getenv("FAULT_CONTROL"), *where = getenv("FAULT_FOLDER");
  if (file && where && fault_arm(file, where, getenv("FAULT_LOG"))) _exit(99);
}
