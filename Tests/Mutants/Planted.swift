// Owns: which planted bug is awake. In no build of the product: Tests/Mutants/run.sh lays it into a copy of the source,
// beside the patches that ask it.

import Glibc

/// STINT_PLANTED of the environment.
private let planted: String = getenv("STINT_PLANTED").map { String(cString: $0) } ?? ""

/// Whether that bug is awake: the file name of its patch, without the ending.
package func isPlanted(_ name: String) -> Bool { planted == name }
