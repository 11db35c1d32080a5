/**
 * Who reads what of an update group: members, the streams that they read from, and followers, the streams of those who are
 * not where the others are.
 */

import { NetSet } from './net-set.ts';
import { OutLog, OutReader } from './out-log.ts';
import type { PeerFamily } from './peer.ts';
import type { UpdateGroup } from './update-group.ts';

/** One neighbour's share in a group. */
export class Member {
  readonly peerFamily: PeerFamily;
  readonly group: UpdateGroup;
  stream: Stream;
  reader: OutReader;
  /** It has been told of output that it has not read to the end. */
  notified = false;
  /** Everything that there was when the session came up has been put into the log. */
  initialSent = false;

  constructor(peerFamily: PeerFamily, group: UpdateGroup, stream: Stream) {
    this.peerFamily = peerFamily;
    this.group = group;
    this.stream = stream;
    this.reader = new OutReader(stream.log, peerFamily.peer.index);
    stream.add(this);
  }

  get index(): number {
    return this.peerFamily.peer.index;
  }

  /** The next messages for the neighbour, whole ones; `undefined` if there are none now. See `OutReader.take`. */
  take(maxBytes: number): Uint8Array | undefined {
    const bytes = this.reader.take(maxBytes);
    if (this.reader.empty) {
      this.notified = false;
      this.group.drained(this);
    }
    return bytes;
  }

  /** Leaves its stream and reads on at the end of another one. */
  moveTo(stream: Stream): void {
    this.stream.delete(this);
    this.stream = stream;
    this.reader = new OutReader(stream.log, this.index);
    this.notified = false;
    stream.add(this);
  }
}

/** A log and who reads it. */
export class Stream {
  readonly log = new OutLog();
  readonly members = new Set<Member>();
  /** Peer indexes of the members. */
  readonly indexes = new NetSet();

  add(member: Member): void {
    this.members.add(member);
    this.indexes.add(member.index);
  }

  delete(member: Member): void {
    this.members.delete(member);
    this.indexes.delete(member.index);
  }
}

/** A log for members that do not know what the group's readers know, and what they do not know. */
export class Follower extends Stream {
  /** Nets in which they differ. */
  readonly pending = new NetSet();
  /** For new members: the nets that they were sent. What they were not sent needs no withdrawal. */
  sent: NetSet | undefined;
  readonly isNew: boolean;
  /** Nets have been taken out of `pending`: who joins now would miss them. */
  begun = false;
  /** How often the group's walk had come to its end when the last member came. */
  since: number;
  /** Where the walk through the pending nets is, and how often it has come to the end. */
  cursor = 0;
  laps = 0;
  /** `laps` when the group was ready for the end marker. */
  readyLap: number | undefined = undefined;
  owesEndOfRib = false;
  owesRefreshBegin = false;
  owesRefreshEnd = false;

  constructor(isNew: boolean, since: number) {
    super();
    this.isNew = isNew;
    this.since = since;
    this.sent = isNew ? new NetSet() : undefined;
  }

  /** Markers that have not been put into the log. */
  get owes(): boolean {
    return this.owesEndOfRib || this.owesRefreshBegin || this.owesRefreshEnd;
  }
}
