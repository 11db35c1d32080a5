import type { Message } from '../../netlink/socket.ts';
import type { MessageWriter } from '../../netlink/writer.ts';
import type { Table, TableRef } from '../model.ts';
import { putComment, takeComment } from '../userdata.ts';
import { decode } from './header.ts';

// enum nft_table_attributes
const NAME = 1;
const FLAGS = 2;
const HANDLE = 4;
const USERDATA = 6;
/** NFT_TABLE_F_DORMANT */
const DORMANT = 1;

/** Writes the attributes of a new or changed table. */
export function putTable(writer: MessageWriter, table: Table): void {
  writer.string(NAME, table.name);
  writer.be32(FLAGS, table.dormant ? DORMANT : 0);
  putComment(writer, USERDATA, table.comment);
}

/** Names a table in a request about it. */
export function putTableRef(writer: MessageWriter, table: TableRef): void {
  writer.string(NAME, table.name);
}

/** Narrows a request for rules, sets or objects to those of one table: the attribute has the same number in each. */
export function putTableFilter(writer: MessageWriter, table: TableRef): void {
  writer.string(NAME, table.name);
}

/** @throws DecodeError */
export function takeTable(message: Message): { table: Table; handle: number } {
  return decode('table', USERDATA, message, (attributes, family) => ({
    table: {
      family,
      name: attributes.string(NAME),
      ...(attributes.be32(FLAGS, 0) & DORMANT ? { dormant: true } : {}),
      ...takeComment(attributes, USERDATA),
    },
    handle: Number(attributes.be64(HANDLE, 0n)),
  }));
}
