export interface Product {
  id: number;
  categoryId: number;
  name: string;
  priceCents: number;
}

export interface Bestseller {
  productId: number;
  name: string;
  sold: number;
  /** In how many weeks of the year it was among the hundred that sold best in the whole shop. */
  weeksOnTop: number;
}

/** What the whole catalogue comes to. */
export interface Overview {
  products: number;
  categories: { id: number; name: string; products: number }[];
}
