/* A file layer that counts, logs and fails the changes that a process makes below one folder.

   Loaded by LD_PRELOAD, so it stands between the C library and both Python and SQLite. `fault_log`
   writes every change, with its data, to a log from which `faulty_disk.py` derives what a power cut
   leaves; `fault_at` makes the Nth change fail. Without either it only passes calls on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, RMDIR, MARK };
enum { ONCE, STICKY, FULL, MEMORY };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_length;
static int log_fd = -1, fail_errno, fail_kind;
static long count, fail_at;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static ssize_t real_write(int fd, const void *data, size_t size) {
    REAL(write);
    return real(fd, data, size);
}

void fault_log(const char *folder, int fd) {
    root_length = strlen(folder);
    memcpy(root, folder, root_length + 1);
    log_fd = fd;
    count = fail_at = 0;
}

void fault_at(const char *folder, long number, int error, int kind) {
    fault_log(folder, -1);
    fail_at = number;
    fail_errno = error;
    fail_kind = kind;
}

long fault_end(void) {
    root_length = 0;
    log_fd = -1;
    fail_at = 0;
    return count;
}

static int below(const char *path) {
    size_t length = root_length;
    if (!length || strncmp(path, root, length) || (path[length] && path[length] != '/')) return 0;
    length = strlen(path);  /* what processes share in memory, and is never synced */
    return length < 4 || strcmp(path + length - 4, "-shm");
}

static int absolute(int folder, const char *path, char *out) {
    char name[64];
    ssize_t length;
    if (path[0] == '/') return snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
    if (folder == AT_FDCWD) return getcwd(out, PATH_MAX) &&
        snprintf(out + strlen(out), PATH_MAX - strlen(out), "/%s", path) > 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", folder);
    length = readlink(name, out, PATH_MAX - 1);
    if (length <= 0) return 0;
    return snprintf(out + length, PATH_MAX - length, "/%s", path) > 0;
}

static int path_of(int fd, char *out) {
    char name[64];
    ssize_t length;
    if (!root_length) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    length = readlink(name, out, PATH_MAX - 1);
    if (length <= 0) return 0;
    out[length] = 0;
    return below(out);
}

static int raise_memory(void *unused) {
    void (*no_memory)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "PyErr_NoMemory");
    (void)unused;
    no_memory();
    return -1;
}

/* Counts a change; the error that it fails with, or 0. The caller holds the lock. */
static int fails(int growing) {
    if (log_fd >= 0) return 0;
    count++;
    if (!fail_at || count < fail_at) return 0;
    if (fail_kind == MEMORY) {  /* Python raises MemoryError at its next instruction */
        if (count == fail_at) {
            int (*add)(int (*)(void *), void *) =
                (int (*)(int (*)(void *), void *))dlsym(RTLD_DEFAULT, "Py_AddPendingCall");
            add(raise_memory, NULL);
        }
        return 0;
    }
    if (fail_kind == ONCE) return count == fail_at ? fail_errno : 0;
    return fail_kind == STICKY || growing ? fail_errno : 0;
}

static void note(int op, const char *path, const char *other, int64_t offset, const void *data,
                 size_t size) {
    int32_t head[4] = {op, (int32_t)strlen(path), other ? (int32_t)strlen(other) : 0, (int32_t)size};
    if (log_fd < 0) return;
    count++;
    real_write(log_fd, head, sizeof head);
    real_write(log_fd, &offset, sizeof offset);
    real_write(log_fd, path, head[1]);
    real_write(log_fd, other, head[2]);
    for (size_t done = 0; done < size;) {
        ssize_t step = real_write(log_fd, (const char *)data + done, size - done);
        if (step <= 0) abort();
        done += step;
    }
}

void fault_mark(long number) {
    pthread_mutex_lock(&lock);
    note(MARK, "", NULL, number, NULL, 0);
    pthread_mutex_unlock(&lock);
}

/* A change: fails, or is made and noted. */
#define CHANGE(type, watched, growing, call, good, noting) \
    do { \
        type result; \
        int error; \
        if (!(watched)) return call; \
        pthread_mutex_lock(&lock); \
        error = fails(growing); \
        if (error) { \
            pthread_mutex_unlock(&lock); \
            errno = error; \
            return -1; \
        } \
        result = call; \
        error = errno; \
        if (good) noting; \
        pthread_mutex_unlock(&lock); \
        errno = error; \
        return result; \
    } while (0)

static int opened(int folder, const char *path, int flags, mode_t mode) {
    static int (*real)(int, const char *, int, ...);
    char name[PATH_MAX];
    struct stat found;
    int there, changes;
    if (!real) real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat64");
    if (!root_length || !(flags & (O_CREAT | O_TRUNC)) || !absolute(folder, path, name) ||
        !below(name))
        return real(folder, path, flags, mode);
    there = !stat(name, &found);
    changes = !there || ((flags & O_TRUNC) && found.st_size);
    if (!changes) return real(folder, path, flags, mode);
    CHANGE(int, 1, 1, real(folder, path, flags, mode), result >= 0,
           there ? note(TRUNCATE, name, NULL, 0, NULL, 0) : note(CREATE, name, NULL, 0, NULL, 0));
}

#define MODE \
    mode_t mode = 0; \
    if (flags & O_CREAT) { \
        va_list more; \
        va_start(more, flags); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }

int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE return opened(at, path, flags, mode); }

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    int watched = path_of(fd, path);
    struct stat found;
    off_t offset = 0;
    if (watched) {
        offset = lseek(fd, 0, SEEK_CUR);
        if (fcntl(fd, F_GETFL) & O_APPEND && !fstat(fd, &found)) offset = found.st_size;
    }
    CHANGE(ssize_t, watched, 1, real_write(fd, data, size), result > 0,
           note(WRITE, path, NULL, offset, data, result));
}

ssize_t writev(int fd, const struct iovec *parts, int number) {
    char path[PATH_MAX];
    ssize_t done = 0;
    REAL(writev);
    if (!path_of(fd, path)) return real(fd, parts, number);
    for (int i = 0; i < number; i++) {
        ssize_t step = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (step < 0) return done ? done : -1;
        done += step;
    }
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    char path[PATH_MAX];
    int watched = path_of(fd, path);
    REAL(pwrite64);
    CHANGE(ssize_t, watched, 1, real(fd, data, size, offset), result > 0,
           note(WRITE, path, NULL, offset, data, result));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return pwrite64(fd, data, size, offset);
}

/* Copies within the kernel are refused, so that callers copy by `write`. */
ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) {
    char path[PATH_MAX];
    static ssize_t (*real)(int, int, off64_t *, size_t);
    if (!real) real = (ssize_t (*)(int, int, off64_t *, size_t))dlsym(RTLD_NEXT, "sendfile64");
    if (path_of(out, path)) return errno = ENOTSOCK, -1;
    return real(out, in, offset, size);
}
ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
    return sendfile64(out, in, (off64_t *)offset, size);
}
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    char path[PATH_MAX];
    REAL(copy_file_range);
    if (path_of(out, path)) return errno = ENOSYS, -1;
    return real(in, from, out, to, size, flags);
}
int posix_fallocate64(int fd, off64_t offset, off64_t size) {
    char path[PATH_MAX];
    REAL(posix_fallocate64);
    return path_of(fd, path) ? EOPNOTSUPP : real(fd, offset, size);
}

int ftruncate64(int fd, off64_t size) {
    char path[PATH_MAX];
    int watched = path_of(fd, path);
    REAL(ftruncate64);
    CHANGE(int, watched, 0, real(fd, size), !result, note(TRUNCATE, path, NULL, size, NULL, 0));
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, int data_only) {
    char path[PATH_MAX];
    int watched = path_of(fd, path);
    static int (*real)(int), (*real_data)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (!real_data) real_data = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (watched && log_fd >= 0) {  /* the replay syncs; the disk needn't */
        pthread_mutex_lock(&lock);
        note(SYNC, path, NULL, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
        return 0;
    }
    CHANGE(int, watched, 0, (watched ? 0 : data_only ? real_data(fd) : real(fd)), 0, (void)0);
}
int fsync(int fd) { return synced(fd, 0); }
int fdatasync(int fd) { return synced(fd, 1); }

static int renamed(int from, const char *old, int to, const char *new) {
    char path[PATH_MAX], other[PATH_MAX];
    static int (*real)(int, const char *, int, const char *);
    int watched = root_length && absolute(from, old, path) && absolute(to, new, other) &&
                  (below(path) || below(other));
    if (!real) real = (int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");
    CHANGE(int, watched, 0, real(from, old, to, new), !result,
           note(RENAME, path, other, 0, NULL, 0));
}
int rename(const char *old, const char *new) { return renamed(AT_FDCWD, old, AT_FDCWD, new); }
int renameat(int from, const char *old, int to, const char *new) {
    return renamed(from, old, to, new);
}

int unlinkat(int folder, const char *path, int flags) {
    char name[PATH_MAX];
    int watched = root_length && absolute(folder, path, name) && below(name);
    REAL(unlinkat);
    CHANGE(int, watched, 0, real(folder, path, flags), !result,
           note(flags & AT_REMOVEDIR ? RMDIR : UNLINK, name, NULL, 0, NULL, 0));
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int folder, const char *path, mode_t mode) {
    char name[PATH_MAX];
    int watched = root_length && absolute(folder, path, name) && below(name);
    REAL(mkdirat);
    CHANGE(int, watched, 1, real(folder, path, mode), !result,
           note(MKDIR, name, NULL, 0, NULL, 0));
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
