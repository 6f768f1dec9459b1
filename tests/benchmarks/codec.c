/* A compiled twin of the hot parts of shared/kafka/codec.py, to measure what it would give. Not a product:
   what is not of the usual shape returns None, and Python does it. Called with the interpreter's lock held. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

static int varint(const unsigned char **at, const unsigned char *end, long long *number) {
    unsigned long long raw = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        unsigned char byte = *(*at)++;
        raw |= (unsigned long long)(byte & 127) << shift;
        if (byte < 128) {
            *number = (long long)(raw >> 1) ^ -(long long)(raw & 1);
            return 1;
        }
    }
    return 0;
}

static PyObject *slice(const unsigned char **at, const unsigned char *end) {
    long long length;
    if (!varint(at, end, &length)) return NULL;
    if (length < 0) Py_RETURN_NONE;
    if (length > end - *at) return NULL;
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)*at, (Py_ssize_t)length);
    *at += length;
    return bytes;
}

/* (offsets, timestamps, keys, values), or None. */
PyObject *decode(PyObject *body, long long count, long long base, long long first) {
    const unsigned char *at = (const unsigned char *)PyBytes_AS_STRING(body);
    const unsigned char *end = at + PyBytes_GET_SIZE(body);
    PyObject *columns[4];
    for (int c = 0; c < 4; c++) columns[c] = PyList_New((Py_ssize_t)count);
    for (long long row = 0; row < count; row++) {
        long long length, time, offset, headers;
        PyObject *key = NULL, *value = NULL;
        if (!varint(&at, end, &length) || length < 1 || length > end - at) goto unusual;
        const unsigned char *stop = at++ + length;
        if (!varint(&at, stop, &time) || !varint(&at, stop, &offset)) goto unusual;
        if (!(key = slice(&at, stop))) goto unusual;
        if (!(value = slice(&at, stop)) || !varint(&at, stop, &headers) || headers || at != stop) {
            Py_DECREF(key);
            Py_XDECREF(value);
            goto unusual;
        }
        PyList_SET_ITEM(columns[0], row, PyLong_FromLongLong(base + offset));
        PyList_SET_ITEM(columns[1], row, PyLong_FromLongLong(first + time));
        PyList_SET_ITEM(columns[2], row, key);
        PyList_SET_ITEM(columns[3], row, value);
    }
    if (at == end) return Py_BuildValue("(NNNN)", columns[0], columns[1], columns[2], columns[3]);
unusual:
    for (int c = 0; c < 4; c++) Py_XDECREF(columns[c]);
    PyErr_Clear();
    Py_RETURN_NONE;
}

static char *put(char *at, long long number) {
    unsigned long long raw = (unsigned long long)number << 1 ^ (unsigned long long)(number >> 63);
    for (; raw > 127; raw >>= 7) *at++ = (char)(raw | 128);
    *at++ = (char)raw;
    return at;
}

static int size_of(long long number) {
    unsigned long long raw = (unsigned long long)number << 1 ^ (unsigned long long)(number >> 63);
    int size = 1;
    while (raw >>= 7) size++;
    return size;
}

/* The buffer of `Encoded` for lists of bytes, one timestamp and no headers, or None. */
PyObject *encode(PyObject *keys, PyObject *values, long long before) {
    Py_ssize_t count = PyList_GET_SIZE(values), total = (Py_ssize_t)before;
    for (Py_ssize_t row = 0; row < count; row++) {
        PyObject *key = PyList_GET_ITEM(keys, row), *value = PyList_GET_ITEM(values, row);
        if (!PyBytes_CheckExact(key) || !PyBytes_CheckExact(value)) Py_RETURN_NONE;
        total += PyBytes_GET_SIZE(key) + PyBytes_GET_SIZE(value) + 36;
    }
    PyObject *out = PyByteArray_FromStringAndSize(NULL, total);
    if (!out) return NULL;
    char *begin = PyByteArray_AS_STRING(out), *at = begin + before;
    memset(begin, 0, (size_t)before);
    for (Py_ssize_t row = 0; row < count; row++) {
        PyObject *key = PyList_GET_ITEM(keys, row), *value = PyList_GET_ITEM(values, row);
        Py_ssize_t k = PyBytes_GET_SIZE(key), v = PyBytes_GET_SIZE(value);
        at = put(at, 3 + size_of(row) + size_of(k) + k + size_of(v) + v);
        *at++ = 0;
        *at++ = 0;
        at = put(at, row);
        at = put(at, k);
        memcpy(at, PyBytes_AS_STRING(key), (size_t)k);
        at = put(at + k, v);
        memcpy(at, PyBytes_AS_STRING(value), (size_t)v);
        at += v;
        *at++ = 0;
    }
    PyByteArray_Resize(out, at - begin);
    return out;
}
