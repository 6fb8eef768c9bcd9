// the same page, where the kernel has what all of its commands need
import "../docker/lan-docs.test.ts";
