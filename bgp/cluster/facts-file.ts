/**
 * The facts on disk, so that a speaker that is started while the datastore can not be reached announces and believes what it did before.
 */

import { z } from 'zod';
import { address, cidr } from '#datastore/schema.ts';
import type { ClusterFacts } from './facts.ts';

const VERSION = 1;

/** @throws never: what can not be read is told in words */
export function parseFacts(text: string, node: string): ClusterFacts | { readonly damage: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { damage: error instanceof Error ? error.message : String(error) };
  }
  const result = document.safeParse(value);
  if (!result.success) {
    const { path, message } = result.error.issues[0]!;
    return { damage: `${path.join('.')}: ${message}` };
  }
  const { own, others } = result.data;
  if (own.name !== node) return { damage: `it is of the node ${own.name}, expected ${node}` };
  return { own, others };
}

export function formatFacts({ own, others }: ClusterFacts): string {
  return `${JSON.stringify({ version: VERSION, own, others })}\n`;
}

const nodeFacts = { name: z.string(), addresses: z.array(address), podCidrs: z.array(cidr) };

const document = z.object({
  version: z.literal(VERSION),
  own: z.object({ ...nodeFacts, labels: z.record(z.string(), z.string()) }),
  others: z.array(z.object(nodeFacts)),
});
