import { afterAll, beforeAll, expect, test } from 'vitest';
import { NETLINK_ROUTE } from '#kernel/netlink/constants.ts';
import { NetlinkSocket } from '#kernel/netlink/socket.ts';
import { assignNamespaceId, namespaceId } from '#kernel/rtnetlink/namespace-id.ts';
import { NetworkNamespace } from '#kernel/sys/namespace.ts';
import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';

let here: Netns;
let there: Netns;
let atHere: NetworkNamespace;
let atThere: NetworkNamespace;
let socket: NetlinkSocket;
beforeAll(() => {
  here = createNetns();
  there = createNetns();
  atHere = NetworkNamespace.named(here.name);
  atThere = NetworkNamespace.named(there.name);
  socket = NetlinkSocket.open(NETLINK_ROUTE, atHere);
});
afterAll(() => {
  socket.close();
  atHere.close();
  atThere.close();
  here.remove();
  there.remove();
});

test('a namespace has a number once one was given, the same that links and `ip netns` show', () => {
  expect(namespaceId(socket, atThere)).toBeUndefined();
  expect(assignNamespaceId(socket, atThere, 42)).toBe(42);
  expect(assignNamespaceId(socket, atThere, 43)).toBe(42);
  expect(namespaceId(socket, atThere)).toBe(42);
  connect({ netns: here }, { netns: there });
  const [link] = here.ip('link', 'show', 'dev', 'eth0') as { link_netnsid: number }[];
  expect(link!.link_netnsid).toBe(42);
  const other = NetworkNamespace.anonymous();
  try {
    expect(() => assignNamespaceId(socket, other, 42)).toThrow('EEXIST');
    expect(assignNamespaceId(socket, other)).toBe(0);
  } finally {
    other.close();
  }
});
