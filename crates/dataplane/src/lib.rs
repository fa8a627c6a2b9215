//! Pinned workers that drive one engine shard each through a backend: io_uring or recvmmsg/sendmmsg.
