import koffi from 'koffi';
import { SyscallError } from './errno.ts';

/*
 * The C library's calls that the rest of kernel/ is built on, one function each, with the errors thrown by name.
 * A Uint8Array is handed to the call as the memory it is: nothing is copied on either side. koffi keeps errno per
 * call, so it is read at once.
 */

const lib = koffi.load('libc.so.6');

const cSocket = lib.func('int socket(int domain, int type, int protocol)');
const cClose = lib.func('int close(int fd)');
const cBind = lib.func('int bind(int fd, const void *address, uint length)');
const cConnect = lib.func('int connect(int fd, const void *address, uint length)');
const cListen = lib.func('int listen(int fd, int backlog)');
const cGetsockname = lib.func('int getsockname(int fd, void *address, void *length)');
const cGetpeername = lib.func('int getpeername(int fd, void *address, void *length)');
const cSend = lib.func('long send(int fd, const void *bytes, size_t length, int flags)');
const cRecv = lib.func('long recv(int fd, void *bytes, size_t length, int flags)');
const cSendmsg = lib.func('long sendmsg(int fd, const void *message, int flags)');
const cRecvmmsg = lib.func('int recvmmsg(int fd, void *messages, uint count, int flags, void *timeout)');
const cSetsockopt = lib.func('int setsockopt(int fd, int level, int name, const void *value, uint length)');
const cGetsockopt = lib.func('int getsockopt(int fd, int level, int name, void *value, void *length)');
const cPoll = lib.func('int poll(void *fds, ulong count, int timeout)');
const cSetns = lib.func('int setns(int fd, int type)');
const cUnshare = lib.func('int unshare(int flags)');
const cMount = lib.func(
  'int mount(const char *source, const char *target, const char *type, ulong flags, const void *data)',
);
const cUmount2 = lib.func('int umount2(const char *target, int flags)');
const cFlock = lib.func('int flock(int fd, int operation)');
const cIoctl = lib.func('int ioctl(int fd, ulong request, void *argument)');
const cAbort = lib.func('void abort()');
const cEventfd = lib.func('int eventfd(uint initial, int flags)');
const cIfNametoindex = lib.func('uint if_nametoindex(const char *name)');
const cIfIndextoname = lib.func('void *if_indextoname(uint index, void *name)');

const EINTR = 4;
const EAGAIN = 11;

/** socket(2). Returns the file descriptor. */
export function socket(domain: number, type: number, protocol: number): number {
  return check('socket', cSocket(domain, type, protocol));
}

/** close(2). */
export function close(fd: number): void {
  check('close', cClose(fd));
}

/** bind(2). `address` is a sockaddr as the kernel lays it out, `subject` the same in words, for the error. */
export function bind(fd: number, address: Uint8Array, subject = ''): void {
  check('bind', cBind(fd, address, address.length), subject);
}

/** connect(2). Returns false when the connection is under way on a non-blocking socket (EINPROGRESS). */
export function connect(fd: number, address: Uint8Array): boolean {
  if (cConnect(fd, address, address.length) === 0) return true;
  const error = koffi.errno();
  if (error === 115) return false;
  throw new SyscallError('connect', error);
}

/** listen(2). */
export function listen(fd: number, backlog: number): void {
  check('listen', cListen(fd, backlog));
}

/** getsockname(2). Returns the sockaddr that the socket is bound to. */
export function getsockname(fd: number): Uint8Array {
  const address = new Uint8Array(128);
  const length = new Uint32Array([address.length]);
  check('getsockname', cGetsockname(fd, address, length));
  return address.subarray(0, length[0]);
}

/** getpeername(2). Returns the sockaddr that the socket is connected to. */
export function getpeername(fd: number): Uint8Array {
  const address = new Uint8Array(128);
  const length = new Uint32Array([address.length]);
  check('getpeername', cGetpeername(fd, address, length));
  return address.subarray(0, length[0]);
}

/** send(2), started again when a signal interrupts it. Returns the number of bytes sent. */
export function send(fd: number, bytes: Uint8Array, length: number, flags: number): number {
  for (;;) {
    const sent = cSend(fd, bytes, length, flags) as number;
    if (sent >= 0) return sent;
    const error = koffi.errno();
    if (error !== EINTR) throw new SyscallError('send', error);
  }
}

/**
 * recv(2), started again when a signal interrupts it. Returns the number of bytes received (with MSG_TRUNC the
 * length that there was, which may be more than the room), or -1 when there is nothing to read (EAGAIN: a
 * non-blocking call, or SO_RCVTIMEO ran out).
 */
export function recv(fd: number, bytes: Uint8Array, length: number, flags: number): number {
  for (;;) {
    const received = cRecv(fd, bytes, length, flags) as number;
    if (received >= 0) return received;
    const error = koffi.errno();
    if (error === EAGAIN) return -1;
    if (error !== EINTR) throw new SyscallError('recv', error);
  }
}

/**
 * sendmsg(2), started again when a signal interrupts it. `message` is a struct msghdr as the kernel lays it out.
 * Returns the number of bytes sent, or -1 when a non-blocking socket has no room (EAGAIN).
 */
export function sendmsg(fd: number, message: Uint8Array, flags: number): number {
  for (;;) {
    const sent = cSendmsg(fd, message, flags) as number;
    if (sent >= 0) return sent;
    const error = koffi.errno();
    if (error === EAGAIN) return -1;
    if (error !== EINTR) throw new SyscallError('sendmsg', error);
  }
}

/**
 * recvmmsg(2), started again when a signal interrupts it. `messages` are `count` struct mmsghdr as the kernel lays
 * them out. Returns how many datagrams were received; 0 when there is nothing to read (EAGAIN).
 */
export function recvmmsg(fd: number, messages: Uint8Array, count: number, flags: number): number {
  for (;;) {
    const received = cRecvmmsg(fd, messages, count, flags, null) as number;
    if (received >= 0) return received;
    const error = koffi.errno();
    if (error === EAGAIN) return 0;
    if (error !== EINTR) throw new SyscallError('recvmmsg', error);
  }
}

/** Where the bytes of `memory` lie, for structures that point to it. They stay there as long as `memory` lives. */
export function addressOf(memory: ArrayBuffer): bigint {
  return koffi.address(memory);
}

/**
 * setsockopt(2) with an int (host order), or with the bytes of a structure.
 *
 * @param subject the option in words, for the error
 */
export function setsockopt(
  fd: number,
  level: number,
  name: number,
  value: number | Uint8Array,
  subject = `level ${level} option ${name}`,
): void {
  const bytes = typeof value === 'number' ? new Uint8Array(new Int32Array([value]).buffer) : value;
  check('setsockopt', cSetsockopt(fd, level, name, bytes, bytes.length), subject);
}

/** getsockopt(2) of an int. `subject` as in {@link setsockopt}. */
export function getsockoptInt(
  fd: number,
  level: number,
  name: number,
  subject = `level ${level} option ${name}`,
): number {
  const value = new Int32Array(1);
  check('getsockopt', cGetsockopt(fd, level, name, value, new Uint32Array([4])), subject);
  return value[0]!;
}

/** getsockopt(2) of up to `size` bytes: those that there are. `subject` as in {@link setsockopt}. */
export function getsockoptBytes(
  fd: number,
  level: number,
  name: number,
  size: number,
  subject = `level ${level} option ${name}`,
): Uint8Array {
  const value = new Uint8Array(size);
  const length = new Uint32Array([size]);
  check('getsockopt', cGetsockopt(fd, level, name, value, length), subject);
  return value.subarray(0, length[0]);
}

/**
 * poll(2) for readability. `timeout` in ms, -1 for none. Returns, in the order of `fds`, which can be read without
 * blocking; errors and hang-ups count as readable, so that the read that follows tells of them.
 */
export function pollReadable(fds: readonly number[], timeout: number): boolean[] {
  const memory = new Int32Array(fds.length * 2); // struct pollfd { int fd; short events; short revents; }
  for (let i = 0; i < fds.length; i++) {
    memory[i * 2] = fds[i]!;
    memory[i * 2 + 1] = 1; // POLLIN
  }
  for (;;) {
    if (cPoll(memory, fds.length, timeout) >= 0) break;
    const error = koffi.errno();
    if (error !== EINTR) throw new SyscallError('poll', error);
  }
  return fds.map((_, i) => memory[i * 2 + 1]! >>> 16 !== 0);
}

/** poll(2) for room to write, without waiting. Also true where a write would fail at once: there is no need to wait for that. */
export function pollWritable(fd: number): boolean {
  const memory = Int32Array.of(fd, 4); // POLLOUT
  for (;;) {
    if (cPoll(memory, 1, 0) >= 0) return memory[1]! >>> 16 !== 0;
    const error = koffi.errno();
    if (error !== EINTR) throw new SyscallError('poll', error);
  }
}

/** setns(2): moves the calling thread into the namespace that `fd` stands for. */
export function setns(fd: number, type: number): void {
  check('setns', cSetns(fd, type));
}

/** unshare(2): gives the calling thread namespaces of its own. */
export function unshare(flags: number): void {
  check('unshare', cUnshare(flags));
}

/** flock(2), waiting as long as another holds the lock unless told otherwise (LOCK_NB: EAGAIN). */
export function flock(fd: number, operation: number): void {
  while (cFlock(fd, operation) < 0) {
    const error = koffi.errno();
    if (error !== EINTR) throw new SyscallError('flock', error);
  }
}

/** ioctl(2) without an argument, or with memory as its argument. */
export function ioctl(fd: number, request: number, argument: Uint8Array | null = null): number {
  return check('ioctl', cIoctl(fd, request, argument), `request 0x${request.toString(16)}`);
}

/** abort(3): ends the whole process with SIGABRT, from whichever thread it is called. */
export function abort(): never {
  cAbort();
  throw new Error('abort returned');
}

/** mount(2). */
export function mount(source: string, target: string, type: string, flags: number): void {
  check('mount', cMount(source, target, type, flags, null), target);
}

/** umount2(2). */
export function umount(target: string, flags: number): void {
  check('umount2', cUmount2(target, flags), target);
}

/** eventfd(2). Returns the file descriptor. */
export function eventfd(initial: number, flags: number): number {
  return check('eventfd', cEventfd(initial, flags));
}

/** if_nametoindex(3): the index of the interface `name` in the thread's network namespace, 0 when there is none. */
export function ifNametoindex(name: string): number {
  return cIfNametoindex(name);
}

/** if_indextoname(3): the name of the interface `index` in the thread's network namespace, undefined when none has it. */
export function ifIndextoname(index: number): string | undefined {
  const name = new Uint8Array(16); // IF_NAMESIZE
  if (!cIfIndextoname(index, name)) return undefined;
  return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
}

/**
 * Attaches a classic BPF program to a socket (SO_ATTACH_FILTER): what it returns 0 for is never queued.
 *
 * @param instructions struct sock_filter each (linux/filter.h): code, jump if true, jump if false, constant
 */
export function attachFilter(
  fd: number,
  instructions: readonly (readonly [number, number, number, number])[],
): void {
  // struct sock_fprog (count, address) and the program behind it, in one piece: that keeps the program's memory alive.
  const bytes = new Uint8Array(new ArrayBuffer(16 + 8 * instructions.length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, instructions.length, true);
  view.setBigUint64(8, koffi.address(bytes.buffer) + 16n, true);
  instructions.forEach(([code, jumpTrue, jumpFalse, constant], i) => {
    const at = 16 + 8 * i;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jumpTrue);
    view.setUint8(at + 3, jumpFalse);
    view.setUint32(at + 4, constant, true);
  });
  setsockopt(fd, 1, 26, bytes.subarray(0, 16));
}

function check(syscall: string, result: number, subject = ''): number {
  if (result >= 0) return result;
  throw new SyscallError(syscall, koffi.errno(), subject);
}
