// SPDX-License-Identifier: Apache-2.0
// gzip by ISA-L, <isa-l/igzip_lib.h>: the structures hold arrays that Swift does not import, so they stay here.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <isa-l/igzip_lib.h>
#include <stddef.h>
#include <stdlib.h>

static inline void samara_free(void *context) { free(context); }

// RFC 1952, one member after the other. NULL when memory is out.
static inline void *samara_gunzip_new(void) {
    struct inflate_state *state = malloc(sizeof *state);
    if (state) {
        isal_inflate_init(state);
        state->crc_flag = ISAL_GZIP;
    }
    return state;
}

// Decompresses from [*in, *in + *in_size) to [out, out + out_size); moves *in and *in_size over what was read and sets
// *produced. Returns 1 at the end of a member, 0 when more input or output is needed, a negative code for bad data.
static inline int samara_gunzip(void *context, const unsigned char **in, size_t *in_size, unsigned char *out,
                                size_t out_size, size_t *produced) {
    struct inflate_state *state = context;
    state->next_in = (unsigned char *)*in;
    state->avail_in = (unsigned)*in_size;
    state->next_out = out;
    state->avail_out = (unsigned)out_size;
    int code = isal_inflate(state);
    *in = state->next_in;
    *in_size = state->avail_in;
    *produced = out_size - state->avail_out;
    if (code < 0) return code;
    return state->block_state == ISAL_BLOCK_FINISH ? 1 : 0;
}

// Ready for the next member.
static inline void samara_gunzip_reset(void *context) {
    struct inflate_state *state = context;
    isal_inflate_reset(state);
    state->crc_flag = ISAL_GZIP;
}

struct samara_gzip {
    struct isal_zstream stream;
    unsigned char work[ISAL_DEF_LVL2_DEFAULT];
};

// NULL when memory is out.
static inline void *samara_gzip_new(void) {
    struct samara_gzip *context = malloc(sizeof *context);
    if (context) {
        isal_deflate_init(&context->stream);
        context->stream.level = 2;
        context->stream.level_buf = context->work;
        context->stream.level_buf_size = sizeof context->work;
        context->stream.gzip_flag = IGZIP_GZIP;
    }
    return context;
}

// As samara_gunzip; 1 when the output buffer may not have sufficed: call again with the same input.
static inline int samara_gzip(void *context, const unsigned char **in, size_t *in_size, int is_last, unsigned char *out,
                              size_t out_size, size_t *produced) {
    struct isal_zstream *stream = &((struct samara_gzip *)context)->stream;
    stream->next_in = (unsigned char *)*in;
    stream->avail_in = (unsigned)*in_size;
    stream->end_of_stream = (unsigned short)is_last;
    stream->flush = NO_FLUSH;
    stream->next_out = out;
    stream->avail_out = (unsigned)out_size;
    int code = isal_deflate(stream);
    *in = stream->next_in;
    *in_size = stream->avail_in;
    *produced = out_size - stream->avail_out;
    if (code != COMP_OK) return -1;
    return stream->avail_out == 0 ? 1 : 0;
}
