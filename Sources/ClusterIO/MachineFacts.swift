// Owns: what an agent reports about its machine. It must not know how the cluster uses it.

import CLinux
import Glibc

/// Facts of this machine, read once.
package struct MachineFacts: Equatable, Sendable {
  /// /etc/machine-id, or the id passed in where a machine has none.
  package var machineID: String
  /// The hardware's own id (DMI product uuid), which machines of one image do not share; empty where there is none
  /// or it is not ours to read (it is root's).
  package var hardwareID: String
  /// Differs with every boot.
  package var bootID: String
  /// The kernel's name of the machine.
  package var hostname: String
  /// Processors that this process may use.
  package var processors: Int
  /// Bytes of memory.
  package var memory: UInt64
  /// `uname -r`.
  package var kernelRelease: String
  /// `PRETTY_NAME` of /etc/os-release; `Linux` without one.
  package var osImage: String
  /// Kubernetes' (Go's) architecture name: `amd64`, `arm64`, …; the kernel's where they agree.
  package var architecture: String

  /// Reads them. `fallbackMachineID` must stay the same across starts (kept in the data directory).
  package static func read(fallbackMachineID: String) throws(IOError) -> MachineFacts {
    var names = utsname()
    guard uname(&names) == 0 else { throw IOError.last("uname") }
    let machine = text(of: &names.machine)
    let machineID = (try? Files.readLine("/etc/machine-id")) ?? ""
    return MachineFacts(
      machineID: machineID.utf8.count == 32 ? machineID : fallbackMachineID,
      hardwareID: (try? Files.readLine("/sys/class/dmi/id/product_uuid")) ?? "",
      bootID: try Files.readLine("/proc/sys/kernel/random/boot_id"), hostname: text(of: &names.nodename),
      processors: Int(stint_usable_processors()),
      memory: UInt64(max(0, sysconf(Int32(_SC_PHYS_PAGES)))) * UInt64(sysconf(Int32(_SC_PAGESIZE))),
      kernelRelease: text(of: &names.release), osImage: prettyName(), architecture: kubernetesName(machine))
  }

  /// `architecture` alone: nothing of it is on a disk.
  package static func readArchitecture() -> String {
    var names = utsname()
    return uname(&names) == 0 ? kubernetesName(text(of: &names.machine)) : "unknown"
  }

  private static func kubernetesName(_ machine: String) -> String {
    switch machine {
    case "x86_64": "amd64"
    case "aarch64": "arm64"
    case "i386", "i486", "i586", "i686": "386"
    case "loongarch64": "loong64"
    case _ where machine.hasPrefix("arm"): "arm"
    default: machine
    }
  }

  private static func prettyName() -> String {
    let text = (try? Files.readLine("/etc/os-release")) ?? ""
    for line in text.split(separator: "\n") where line.hasPrefix("PRETTY_NAME=") {
      return String(line.dropFirst("PRETTY_NAME=".count).filter { $0 != "\"" })
    }
    return "Linux"
  }

  private static func text<Buffer>(of buffer: inout Buffer) -> String {
    withUnsafeBytes(of: &buffer) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
