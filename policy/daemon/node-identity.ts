/**
 * Which node a client is, by its certificate.
 */

import type { PeerCertificate } from 'node:tls';
import { RpcError } from '#proto/error.ts';

const PREFIX = 'system:node:';
const GROUP = 'system:nodes';

/**
 * The name of the node whose certificate this is. It has to be one as kubelets have them: common name
 * `system:node:NAME`, organization `system:nodes` (Kubernetes: "Using Node Authorization"). Both, because the authority
 * may have given certificates to others: of these none may pass for a node.
 *
 * @throws RpcError UNAUTHENTICATED PERMISSION_DENIED
 */
export function nodeOf(certificate: PeerCertificate | undefined): string {
  // Both are lists if there are several.
  const subject = certificate?.subject as
    | Readonly<Record<'CN' | 'O', string | string[] | undefined>>
    | undefined;
  if (subject === undefined)
    throw new RpcError('UNAUTHENTICATED', 'found no client certificate, expected one of a node');
  const { CN: name, O: groups = [] } = subject;
  const isNode = typeof name === 'string' && name.startsWith(PREFIX) && name.length > PREFIX.length;
  if (isNode && [groups].flat().includes(GROUP)) return name.slice(PREFIX.length);
  throw new RpcError(
    'PERMISSION_DENIED',
    `client certificate: found common name ${JSON.stringify(name ?? '')} and organization ${JSON.stringify([groups].flat().join(', '))}, expected ${PREFIX}NAME and ${GROUP}`,
  );
}

/**
 * Checks that a client asks for its own node.
 *
 * @throws RpcError
 */
export function checkNode(certificate: PeerCertificate | undefined, node: string): void {
  const own = nodeOf(certificate);
  if (own === node) return;
  throw new RpcError(
    'PERMISSION_DENIED',
    `node ${node}: found the certificate of node ${own}, expected its own`,
  );
}
