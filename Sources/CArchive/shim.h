#include <archive.h>
#include <archive_entry.h>
#include <openssl/evp.h>
