import { BirdDriver } from '#lab/peers/bird.ts';
import type { PeerDescription, PeerKind } from '#lab/peers/description.ts';
import type { Driver } from '#lab/peers/driver.ts';
import { FrrDriver } from '#lab/peers/frr.ts';
import { GobgpdDriver } from '#lab/peers/gobgpd.ts';
import type { Netns } from '../netns.ts';
import { Peer } from './peer.ts';

/**
 * Starts a real BGP daemon in a namespace and waits until it answers. The test asks for its program first:
 * `requires(ctx, ...peerTools('bird'))`.
 *
 * @throws UnsupportedByPeerError when the daemon has no setting for something in the description
 */
export function launchPeer(kind: PeerKind, netns: Netns, description: PeerDescription): Promise<Peer> {
  return Peer.launch(netns, description, (folder) => makeDriver(kind, description, folder));
}

/** The programs that a kind of peer needs, for `requires`. */
export function peerTools(...kinds: readonly PeerKind[]): `tool:${string}`[] {
  return kinds.flatMap((kind) => TOOLS[kind]);
}

const TOOLS: Readonly<Record<PeerKind, readonly `tool:${string}`[]>> = {
  bird: ['tool:bird', 'tool:birdc'],
  frr: ['tool:bgpd', 'tool:zebra', 'tool:vtysh'],
  gobgpd: ['tool:gobgpd', 'tool:gobgp'],
};

function makeDriver(kind: PeerKind, description: PeerDescription, folder: string): Driver {
  switch (kind) {
    case 'bird':
      return new BirdDriver(description, folder);
    case 'frr':
      return new FrrDriver(description, folder);
    case 'gobgpd':
      return new GobgpdDriver(description, folder);
  }
}
