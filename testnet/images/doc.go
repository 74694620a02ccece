// Package images makes the images that the examples and tests run in: Debian bookworm, Python with
// NumPy on top of it, PyTorch and scikit-learn on top of that. It pulls the base image, or where no
// registry can be reached builds it with debootstrap, and builds the others from the Dockerfiles
// beside this file through the engine's API; no docker command is needed. What is already there is
// used as it is. Images are found again by a label that hashes what they are made from.
package images
