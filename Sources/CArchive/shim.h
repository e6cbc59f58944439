// First: else `struct stat`, which archive.h only names, would be this module's.
#include <sys/stat.h>
#include <archive.h>
#include <archive_entry.h>
// What entries of an archive are given on a disk, and Swift's Glibc module lacks.
#include <sys/xattr.h>
extern int syncfs(int);
