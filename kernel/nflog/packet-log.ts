import { NETLINK_NETFILTER } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/error.ts';
import type { Subscription } from '../netlink/monitor.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import type { MessageWriter } from '../netlink/writer.ts';
import type { NetworkNamespace } from '../sys/namespace.ts';
import * as c from './constants.ts';
import { PacketView } from './packet-view.ts';

/** Which logged packets to read, and how the kernel shall hand them over. */
export interface PacketLogOptions {
  /** The number in the rules: `log group 5`. 0 to 65535. */
  readonly group: number;
  readonly namespace?: NetworkNamespace;
  /** Bytes of each packet to copy, from its IP header on, up to 61,440; 0 for none. 128 unless told. */
  readonly copyRange?: number;
  /** Packets the kernel gathers before it hands them over; 64 unless told. */
  readonly threshold?: number;
  /** ms after which it hands over what it has, in steps of 10; 100 unless told. */
  readonly delay?: number;
  /** Bytes it gathers packets in, up to 65,536; 32 KiB unless told. */
  readonly gatherBytes?: number;
  /** Receive buffer in bytes; 4 MiB unless told. What comes while it is full is lost, and counted. */
  readonly bufferBytes?: number;
  /** Asks for the flow of each packet; see {@link PacketLog.hasConntrack}. */
  readonly conntrack?: boolean;
  /** Each packet; the view is valid during the call. */
  readonly onPacket: (packet: PacketView) => void;
  /** So many packets were lost before the one that is told next. */
  readonly onLost?: (count: number) => void;
}

/**
 * Reads the packets of an NFLOG group. It is a subscription for {@link NetlinkMonitor.open}; several logs go into one
 * monitor.
 *
 *     const log = new PacketLog({ group: 5, onPacket: (packet) => console.log(packet.prefix) });
 *     const monitor = NetlinkMonitor.open([log.subscription], onError);
 *
 * Opening the monitor throws a NetlinkError with EPERM when another reads the group.
 */
export class PacketLog {
  /** Packets told and packets lost so far. */
  received = 0;
  lost = 0;
  readonly subscription: Subscription;
  readonly #options: PacketLogOptions;
  readonly #view = new PacketView();
  #hasConntrack = false;
  /** Sequence number of the next packet; -1 until one is known. */
  #next = -1;

  /** @throws RangeError */
  constructor(options: PacketLogOptions) {
    check('group', options.group, 0, 0xffff);
    check('copyRange', options.copyRange ?? COPY_RANGE, 0, MOST_COPIED);
    check('threshold', options.threshold ?? THRESHOLD, 1, 0xffffffff);
    check('gatherBytes', options.gatherBytes ?? GATHER_BYTES, 1, MOST_GATHERED);
    this.#options = options;
    this.subscription = {
      protocol: NETLINK_NETFILTER,
      groups: [],
      configure: (socket) => this.#configure(socket),
      ...(options.bufferBytes === undefined ? {} : { bufferBytes: options.bufferBytes }),
      ...(options.namespace ? { namespace: options.namespace } : {}),
      onMessage: (message) => {
        if (message.type === c.NFULNL_MSG_PACKET) this.#take(this.#view.read(message));
      },
      // How many it were is told by the sequence number of the next packet.
      onOverflow: () => {},
    };
  }

  /** Whether the kernel tells the flow of each packet: asked for, and built with CONFIG_NETFILTER_NETLINK_GLUE_CT. */
  get hasConntrack(): boolean {
    return this.#hasConntrack;
  }

  #take(packet: PacketView): void {
    const { sequence } = packet;
    if (sequence >= 0) {
      // Numbers wrap around at 2^32. A step back would be another reader's group: begin anew.
      const gap = this.#next < 0 ? 0 : (sequence - this.#next) >>> 0;
      if (gap > 0 && gap < 0x8000_0000) {
        this.lost += gap;
        this.#options.onLost?.(gap);
      }
      this.#next = (sequence + 1) >>> 0;
    }
    this.received++;
    this.#options.onPacket(packet);
  }

  #configure(socket: NetlinkSocket): void {
    const { copyRange = COPY_RANGE, delay = DELAY } = this.#options;
    this.#next = -1;
    this.#request(socket, (writer) => {
      writer.u8(c.NFULA_CFG_CMD, c.NFULNL_CFG_CMD_BIND);
      const mode = new Uint8Array(6); // struct nfulnl_msg_config_mode
      new DataView(mode.buffer).setUint32(0, copyRange);
      mode[4] = copyRange > 0 ? c.NFULNL_COPY_PACKET : c.NFULNL_COPY_META;
      writer.raw(c.NFULA_CFG_MODE, mode);
      writer.be32(c.NFULA_CFG_NLBUFSIZ, this.#options.gatherBytes ?? GATHER_BYTES);
      writer.be32(c.NFULA_CFG_TIMEOUT, Math.max(1, Math.round(delay / 10)));
      writer.be32(c.NFULA_CFG_QTHRESH, this.#options.threshold ?? THRESHOLD);
      writer.be16(c.NFULA_CFG_FLAGS, c.NFULNL_CFG_F_SEQ);
    });
    this.#hasConntrack = this.#options.conntrack === true && this.#askForConntrack(socket);
  }

  #askForConntrack(socket: NetlinkSocket): boolean {
    for (let attempt = 0; ; attempt++) {
      try {
        this.#request(socket, (writer) =>
          writer.be16(c.NFULA_CFG_FLAGS, c.NFULNL_CFG_F_SEQ | c.NFULNL_CFG_F_CONNTRACK),
        );
        return true;
      } catch (error) {
        if (!(error instanceof NetlinkError)) throw error;
        if (error.code === 'EOPNOTSUPP') return false;
        // The kernel has loaded what it needs for it, and wants to be asked again.
        if (error.code !== 'EAGAIN' || attempt > 0) throw error;
      }
    }
  }

  #request(socket: NetlinkSocket, fill: (writer: MessageWriter) => void): void {
    const { group } = this.#options;
    socket.request(`read log group ${group}`, c.NFULNL_MSG_CONFIG, 0, (writer) => {
      const at = writer.fixed(c.NFGENMSG);
      writer.view.setUint16(at + 2, group);
      fill(writer);
    });
  }
}

const COPY_RANGE = 128;
/** A datagram of the monitor is 64 KiB; what lies beside the packet takes under 4 KiB. */
const MOST_COPIED = 61_440;
const MOST_GATHERED = 65_536;
const GATHER_BYTES = 32_768;
const THRESHOLD = 64;
const DELAY = 100;

function check(field: string, found: number, least: number, most: number): void {
  if (!Number.isInteger(found) || found < least || found > most)
    throw new RangeError(`packet log ${field} ${found}, expected ${least} to ${most}`);
}
