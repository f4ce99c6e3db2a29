// Micro-euros as a French reader writes them: 0,000 34 €.

const EUROS = new Intl.NumberFormat("fr-FR", {
  style: "currency",
  currency: "EUR",
  minimumFractionDigits: 2,
  maximumFractionDigits: 6,
});

export function euros(micros) {
  return EUROS.format(micros / 1e6);
}
