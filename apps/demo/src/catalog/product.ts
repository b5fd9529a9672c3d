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
  /** In how many of the last 52 weeks it was among the three that sold best. */
  weeksOnTop: number;
}

/** What the whole catalogue comes to. */
export interface Overview {
  products: number;
  categories: { id: number; name: string; products: number }[];
}
