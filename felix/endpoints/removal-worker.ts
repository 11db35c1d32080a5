/*
 * Removes pairs and connections on a thread of its own: the kernel takes tens of milliseconds for it, and felix has other
 * things to do meanwhile.
 */
import { parentPort } from 'node:worker_threads';
import type { AddressKey } from '#datastore/address.ts';
import { Conntrack } from '#kernel/conntrack/conntrack.ts';
import { removeFlows } from './flows.ts';
import type { RemovalAnswer, RemovalRequest } from './removal.ts';
import { Wires } from './wires.ts';

const port = parentPort!;
const wires = new Wires();
const conntrack = Conntrack.open();

port.on('message', (request: RemovalRequest | null) => {
  if (request === null) {
    port.close();
    wires.close();
    conntrack.close();
    return;
  }
  const { interfaces, addresses } = request;
  const answer: { -readonly [K in keyof RemovalAnswer]: RemovalAnswer[K] } = {};
  try {
    wires.removeAll(interfaces);
  } catch (error) {
    answer.interfaces = String(error);
  }
  try {
    // Behind the interfaces: nothing can begin anew then.
    if (addresses.length > 0) removeFlows(conntrack, addresses as readonly AddressKey[]);
  } catch (error) {
    answer.flows = String(error);
  }
  port.postMessage(answer);
});
