/** enum nft_expr_attributes, nft_list_attributes: what is around every expression */
export const NFTA_EXPR_NAME = 1;
export const NFTA_EXPR_DATA = 2;
export const NFTA_LIST_ELEM = 1;
