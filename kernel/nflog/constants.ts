/** linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_log.h */
export const NFNL_SUBSYS_ULOG = 4;
/** Bytes of struct nfgenmsg, the fixed header of all netfilter messages. */
export const NFGENMSG = 4;
export const NFULNL_MSG_PACKET = (NFNL_SUBSYS_ULOG << 8) | 0;
export const NFULNL_MSG_CONFIG = (NFNL_SUBSYS_ULOG << 8) | 1;

export const NFULA_PACKET_HDR = 1;
export const NFULA_MARK = 2;
export const NFULA_TIMESTAMP = 3;
export const NFULA_IFINDEX_INDEV = 4;
export const NFULA_IFINDEX_OUTDEV = 5;
export const NFULA_HWADDR = 8;
export const NFULA_PAYLOAD = 9;
export const NFULA_PREFIX = 10;
export const NFULA_UID = 11;
export const NFULA_SEQ = 12;
export const NFULA_GID = 14;
export const NFULA_CT = 18;
export const NFULA_CT_INFO = 19;

export const NFULA_CFG_CMD = 1;
export const NFULA_CFG_MODE = 2;
export const NFULA_CFG_NLBUFSIZ = 3;
export const NFULA_CFG_TIMEOUT = 4;
export const NFULA_CFG_QTHRESH = 5;
export const NFULA_CFG_FLAGS = 6;

export const NFULNL_CFG_CMD_BIND = 1;
export const NFULNL_COPY_META = 1;
export const NFULNL_COPY_PACKET = 2;
export const NFULNL_CFG_F_SEQ = 1;
export const NFULNL_CFG_F_CONNTRACK = 4;
