/* What client and server of remote detection share of libzmq. Private to net. */
#ifndef SL_NET_DETECT_ZMQ_H
#define SL_NET_DETECT_ZMQ_H

/* Sets one of the socket's options that are an int. 0, or -1 with errno. */
int sl_detect_zmq_set(void *socket, int option, int value);

#endif
