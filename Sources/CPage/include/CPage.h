// Owns: how the page's files are named and reached. It must not know who serves them.

#ifndef STINT_CPAGE_H
#define STINT_CPAGE_H

#include <stddef.h>

/// One plain file of the page as it was when the program was built.
struct stint_page_file {
  const char *name;
  const unsigned char *bytes;
  size_t size;
};

/// The file at `position`, in the order of their names; null behind the last.
const struct stint_page_file *stint_page_file_at(size_t position);

#endif
