// SPDX-License-Identifier: Apache-2.0
//
// libcurl, and one function per form of its variadic calls, which Swift does not import.
// The same feature set as CLinux: clang merges the libc declarations of both modules.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
// The checks need an option that is a constant at the call.
#define CURL_DISABLE_TYPECHECK 1
#include <curl/curl.h>

static inline CURLcode samara_curl_set_long(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode samara_curl_set_offset(CURL *handle, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(handle, option, value);
}

// libcurl copies the text, except that of CURLOPT_POSTFIELDS, which is not used.
static inline CURLcode samara_curl_set_text(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode samara_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode samara_curl_set_bytes(CURL *handle, CURLoption option, const void *value) {
    return curl_easy_setopt(handle, option, value);
}

// Copies the bytes.
static inline CURLcode samara_curl_set_blob(CURL *handle, CURLoption option, const void *bytes, size_t count) {
    struct curl_blob blob = {.data = (void *)bytes, .len = count, .flags = CURL_BLOB_COPY};
    return curl_easy_setopt(handle, option, &blob);
}

static inline CURLcode samara_curl_set_list(CURL *handle, CURLoption option, struct curl_slist *list) {
    return curl_easy_setopt(handle, option, list);
}

typedef size_t (*samara_curl_data_callback)(char *bytes, size_t size, size_t count, void *context);
typedef int (*samara_curl_seek_callback)(void *context, curl_off_t offset, int origin);

static inline CURLcode samara_curl_set_callback(CURL *handle, CURLoption option, samara_curl_data_callback callback) {
    return curl_easy_setopt(handle, option, callback);
}

static inline CURLcode samara_curl_set_seek(CURL *handle, samara_curl_seek_callback callback, void *context) {
    CURLcode code = curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, callback);
    return code ? code : curl_easy_setopt(handle, CURLOPT_SEEKDATA, context);
}

// Where the last response came from, after redirects; valid as long as the handle.
static inline const char *samara_curl_effective_url(CURL *handle) {
    char *url = NULL;
    return curl_easy_getinfo(handle, CURLINFO_EFFECTIVE_URL, &url) == CURLE_OK ? url : NULL;
}

// Takes one finished transfer off the queue; 0 when there is none.
static inline int samara_curl_next_finished(CURLM *multi, CURL **handle, CURLcode *result) {
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE) continue;
        *handle = message->easy_handle;
        *result = message->data.result;
        return 1;
    }
    return 0;
}
