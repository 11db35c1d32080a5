/**
 * What has to happen for every event in every state: RFC 4271 section 8.2.2 as a table, with event 29 of RFC 9687.
 *
 * A cell is the next state and what is done, in order: messages sent (NOTIFICATIONs as code/subcode), `connect`, `adopt` and
 * `refuse` of connections, `close` (after what was sent) or `abort` of the connection, `up` and `down` of the session, timers
 * started with their milliseconds, and what becomes of the ConnectRetryCounter (`counter+1`, `counter=0`). `-` is nothing at all.
 *
 * Which timers run afterwards is not in the cells: it follows from the state, and is a table of its own.
 *
 * The columns: `Idle` was never started, `IdleHold` waits after a failure, `IdleLimit` after a limit was exceeded. In
 * `ConnectDelay` and `ActiveDelay` TCP is up and the DelayOpenTimer runs. The others have one connection that this side opened.
 */

export const STATES = [
  'Idle',
  'IdleHold',
  'IdleLimit',
  'Connect',
  'Active',
  'ConnectDelay',
  'ActiveDelay',
  'OpenSent',
  'OpenConfirm',
  'Established',
] as const;
export type StateName = (typeof STATES)[number];

export const EVENTS = [
  '1,3 start',
  '4,5 start, passive',
  '2 stop',
  '8 automatic stop',
  '8 automatic stop with a restart after 5 minutes',
  'reset',
  '9 connect retry timer',
  '10 hold timer',
  '11 keepalive timer',
  '12 delay open timer',
  '6,13 idle hold timer',
  '7,13 idle hold timer, passive',
  'restart timer',
  'stable timer',
  '29 send hold timer',
  '14,17 incoming connection',
  '16 connected',
  '18 connection lost',
  '19,20 OPEN',
  '22 OPEN with a wrong AS',
  '21 header error',
  '22 malformed OPEN',
  '24 NOTIFICATION, version',
  '25 NOTIFICATION',
  '26 KEEPALIVE',
  '27 UPDATE',
  '28 malformed UPDATE',
  'ROUTE-REFRESH',
  'malformed ROUTE-REFRESH',
  'UPDATE sent',
  'TCP took data',
] as const;
export type EventName = (typeof EVENTS)[number];

/** States that a row does not name: nothing happens there. */
export const TABLE: Readonly<Record<EventName, Partial<Record<StateName, string>>>> = {
  '1,3 start': {
    Idle: 'Connect: connect, connectRetry=5000, counter=0',
    IdleHold: 'Connect: connect, connectRetry=5000, counter=0',
    IdleLimit: 'Connect: connect, connectRetry=5000, counter=0',
  },
  '4,5 start, passive': {
    Idle: 'Active: counter=0',
    IdleHold: 'Active: counter=0',
    IdleLimit: 'Active: counter=0',
  },
  '2 stop': {
    Idle: 'Idle: counter=0',
    IdleHold: 'Idle: counter=0',
    IdleLimit: 'Idle: counter=0',
    Connect: 'Idle: abort, counter=0',
    Active: 'Idle: counter=0',
    ConnectDelay: 'Idle: send 6/2, close, counter=0',
    ActiveDelay: 'Idle: send 6/2, close, counter=0',
    OpenSent: 'Idle: send 6/2, close, counter=0',
    OpenConfirm: 'Idle: send 6/2, close, counter=0',
    Established: 'Idle: send 6/2, close, down, counter=0',
  },
  '8 automatic stop': {
    Connect: 'Idle: abort, idleHold=1000, counter+1',
    Active: 'Idle: idleHold=1000, counter+1',
    ConnectDelay: 'Idle: send 6/8, close, idleHold=1000, counter+1',
    ActiveDelay: 'Idle: send 6/8, close, idleHold=1000, counter+1',
    OpenSent: 'Idle: send 6/8, close, idleHold=1000, counter+1',
    OpenConfirm: 'Idle: send 6/8, close, idleHold=1000, counter+1',
    Established: 'Idle: send 6/8, close, down, idleHold=1000, counter+1',
  },
  '8 automatic stop with a restart after 5 minutes': {
    Connect: 'Idle: abort, restart=300000, counter+1',
    Active: 'Idle: restart=300000, counter+1',
    ConnectDelay: 'Idle: send 6/1, close, restart=300000, counter+1',
    ActiveDelay: 'Idle: send 6/1, close, restart=300000, counter+1',
    OpenSent: 'Idle: send 6/1, close, restart=300000, counter+1',
    OpenConfirm: 'Idle: send 6/1, close, restart=300000, counter+1',
    Established: 'Idle: send 6/1, close, down, restart=300000, counter+1',
  },
  reset: {
    IdleHold: 'Idle: idleHold=0',
    IdleLimit: 'Idle: idleHold=0',
    Connect: 'Idle: abort, idleHold=0',
    Active: 'Idle: idleHold=0',
    ConnectDelay: 'Idle: send 6/4, close, idleHold=0',
    ActiveDelay: 'Idle: send 6/4, close, idleHold=0',
    OpenSent: 'Idle: send 6/4, close, idleHold=0',
    OpenConfirm: 'Idle: send 6/4, close, idleHold=0',
    Established: 'Idle: send 6/4, close, down, idleHold=0',
  },
  '9 connect retry timer': {
    Connect: 'Connect: abort, connect, connectRetry=5000, counter+1',
    Active: 'Connect: connect, connectRetry=5000, counter+1',
  },
  '10 hold timer': {
    OpenSent: 'Idle: send 4/0, close, idleHold=1000, counter+1',
    OpenConfirm: 'Idle: send 4/0, close, idleHold=1000, counter+1',
    Established: 'Idle: send 4/0, close, down, idleHold=1000, counter+1',
  },
  '11 keepalive timer': {
    OpenConfirm: 'OpenConfirm: send KEEPALIVE, keepalive=30000',
    Established: 'Established: send KEEPALIVE, keepalive=30000',
  },
  '12 delay open timer': {
    ConnectDelay: 'OpenSent: send OPEN, hold=240000',
    ActiveDelay: 'OpenSent: send OPEN, hold=240000',
  },
  '6,13 idle hold timer': {
    IdleHold: 'Connect: connect, connectRetry=5000',
  },
  '7,13 idle hold timer, passive': {
    IdleHold: 'Active:',
  },
  'restart timer': {
    IdleLimit: 'Connect: connect, connectRetry=5000',
  },
  'stable timer': {},
  '29 send hold timer': {
    Established: 'Idle: abort, down, idleHold=1000, counter+1',
  },
  '14,17 incoming connection': {
    Idle: 'Idle: refuse 6/5',
    IdleHold: 'Idle: refuse',
    IdleLimit: 'Idle: refuse 6/5',
    Connect: 'OpenSent: adopt, send OPEN, hold=240000',
    Active: 'OpenSent: adopt, send OPEN, hold=240000',
    ConnectDelay: 'Connect: adopt, delayOpen=5000',
    ActiveDelay: 'Active: abort, adopt, delayOpen=5000',
    OpenSent: 'OpenSent: adopt, send OPEN, hold=240000',
    OpenConfirm: 'OpenConfirm: adopt, send OPEN, hold=240000',
    Established: 'Established: keepalive=1000, refuse',
  },
  '16 connected': {
    Connect: 'OpenSent: send OPEN, hold=240000',
  },
  '18 connection lost': {
    Connect: 'Active: abort, connectRetry=5000',
    ConnectDelay: 'Active: abort, connectRetry=5000, counter+1',
    ActiveDelay: 'Active: abort, connectRetry=5000, counter+1',
    OpenSent: 'Active: abort, connectRetry=5000, counter+1',
    OpenConfirm: 'Idle: abort, idleHold=1000, counter+1',
    Established: 'Idle: abort, down, idleHold=1000, counter+1',
  },
  '19,20 OPEN': {
    ConnectDelay: 'OpenConfirm: send OPEN, hold=240000, send KEEPALIVE, hold=90000, keepalive=30000',
    ActiveDelay: 'OpenConfirm: send OPEN, hold=240000, send KEEPALIVE, hold=90000, keepalive=30000',
    OpenSent: 'OpenConfirm: send KEEPALIVE, hold=90000, keepalive=30000',
    OpenConfirm: 'Idle: send 5/2, close, idleHold=1000, counter+1',
    Established: 'Idle: send 5/3, close, down, idleHold=1000, counter+1',
  },
  '22 OPEN with a wrong AS': {
    ConnectDelay: 'Idle: send 2/2, close, idleHold=1000, counter+1',
    ActiveDelay: 'Idle: send 2/2, close, idleHold=1000, counter+1',
    OpenSent: 'Idle: send 2/2, close, idleHold=1000, counter+1',
    OpenConfirm: 'Idle: send 5/2, close, idleHold=1000, counter+1',
    Established: 'Idle: send 5/3, close, down, idleHold=1000, counter+1',
  },
  '21 header error': {
    ConnectDelay: 'Idle: send 1/1, close, idleHold=1000, counter+1',
    ActiveDelay: 'Idle: send 1/1, close, idleHold=1000, counter+1',
    OpenSent: 'Idle: send 1/1, close, idleHold=1000, counter+1',
    OpenConfirm: 'Idle: send 1/1, close, idleHold=1000, counter+1',
    Established: 'Idle: send 1/1, close, down, idleHold=1000, counter+1',
  },
  '22 malformed OPEN': {
    ConnectDelay: 'Idle: send 2/4, close, idleHold=1000, counter+1',
    ActiveDelay: 'Idle: send 2/4, close, idleHold=1000, counter+1',
    OpenSent: 'Idle: send 2/4, close, idleHold=1000, counter+1',
    OpenConfirm: 'Idle: send 2/4, close, idleHold=1000, counter+1',
    Established: 'Idle: send 5/3, close, down, idleHold=1000, counter+1',
  },
  '24 NOTIFICATION, version': {
    ConnectDelay: 'Idle: abort, idleHold=1000',
    ActiveDelay: 'Idle: abort, idleHold=1000',
    OpenSent: 'Idle: abort, idleHold=1000',
    OpenConfirm: 'Idle: abort, idleHold=1000',
    Established: 'Idle: abort, down, idleHold=1000, counter+1',
  },
  '25 NOTIFICATION': {
    ConnectDelay: 'Idle: abort, idleHold=1000, counter+1',
    ActiveDelay: 'Idle: abort, idleHold=1000, counter+1',
    OpenSent: 'Idle: abort, idleHold=1000, counter+1',
    OpenConfirm: 'Idle: abort, idleHold=1000, counter+1',
    Established: 'Idle: abort, down, idleHold=1000, counter+1',
  },
  '26 KEEPALIVE': {
    ConnectDelay: 'Idle: abort, idleHold=1000, counter+1',
    ActiveDelay: 'Idle: abort, idleHold=1000, counter+1',
    OpenSent: 'Idle: send 5/1, close, idleHold=1000, counter+1',
    OpenConfirm: 'Established: hold=90000, sendHold=480000, stable=30000, up',
    Established: 'Established: hold=90000',
  },
  '27 UPDATE': {
    ConnectDelay: 'Idle: abort, idleHold=1000, counter+1',
    ActiveDelay: 'Idle: abort, idleHold=1000, counter+1',
    OpenSent: 'Idle: send 5/1, close, idleHold=1000, counter+1',
    OpenConfirm: 'Idle: send 5/2, close, idleHold=1000, counter+1',
    Established: 'Established: hold=90000',
  },
  '28 malformed UPDATE': {
    ConnectDelay: 'Idle: abort, idleHold=1000, counter+1',
    ActiveDelay: 'Idle: abort, idleHold=1000, counter+1',
    OpenSent: 'Idle: send 5/1, close, idleHold=1000, counter+1',
    OpenConfirm: 'Idle: send 5/2, close, idleHold=1000, counter+1',
    Established: 'Idle: send 3/1, close, down, idleHold=1000, counter+1',
  },
  'ROUTE-REFRESH': {
    ConnectDelay: 'Idle: abort, idleHold=1000, counter+1',
    ActiveDelay: 'Idle: abort, idleHold=1000, counter+1',
    OpenSent: 'Idle: send 5/1, close, idleHold=1000, counter+1',
    OpenConfirm: 'Idle: send 5/2, close, idleHold=1000, counter+1',
    Established: 'Established: hold=90000',
  },
  'malformed ROUTE-REFRESH': {
    ConnectDelay: 'Idle: abort, idleHold=1000, counter+1',
    ActiveDelay: 'Idle: abort, idleHold=1000, counter+1',
    OpenSent: 'Idle: send 5/1, close, idleHold=1000, counter+1',
    OpenConfirm: 'Idle: send 5/2, close, idleHold=1000, counter+1',
    Established: 'Idle: send 7/1, close, down, idleHold=1000, counter+1',
  },
  'UPDATE sent': {
    OpenConfirm: 'OpenConfirm: keepalive=30000',
    Established: 'Established: keepalive=30000',
  },
  'TCP took data': {
    Established: 'Established: sendHold=480000',
  },
};
