"""A painter of stylised street scenes with exact labels: a camera, a canvas, and what stands in a street."""
