// Owns: the words that a pod of `stint run` executes: the person's own, byte for byte, with the item where `{}` stands.
// It must not know the rest of the Job.

import ClusterProto

/// The container's command.
enum RunScript {
  /// What stands for the item in the command's words.
  static let mark = "{}"
  /// Where the ConfigMap with the items is mounted.
  static let itemsPath = "/stint/items"
  /// The variable that has the item.
  static let variable = "STINT_ITEM"

  /// The words for the manifest. Without items they are executed as they are, and need no shell.
  static func command(_ words: [String], items: RunItems?) -> [String] {
    guard let items else { return words.map(escaped) }
    let script = itemScript(items) + (words.contains { $0.contains(mark) } ? replaceScript : "") + "exec \"$@\"\n"
    return (["/bin/sh", "-c", script, "sh"] + words).map(escaped)
  }

  /// Sets the variable from the index. Any POSIX shell reads it; nothing but the shell is needed.
  private static func itemScript(_ items: RunItems) -> String {
    switch items {
    case .numbers(let first, let step, _):
      var sum = "JOB_COMPLETION_INDEX"
      if step != 1 { sum += " * \(step)" }
      if first != 0 { sum += " + \(first)" }
      return "export \(variable)=$((\(sum)))\n"
    case .lines:
      return """
        stint_n=$((JOB_COMPLETION_INDEX % \(RunItems.blockLength)))
        exec 3<"\(itemsPath)/items-$((JOB_COMPLETION_INDEX / \(RunItems.blockLength)))"
        while :; do
          IFS= read -r \(variable) <&3 || { echo "stint: no item for index $JOB_COMPLETION_INDEX" >&2; exit 125; }
          [ "$stint_n" -gt 0 ] || break
          stint_n=$((stint_n - 1))
        done
        exec 3<&-
        export \(variable)

        """
    }
  }

  /// Puts the item where the mark stands in each word. The item itself is never read as shell, and a mark inside of it
  /// stays.
  private static let replaceScript = """
    stint_n=$#
    while [ "$stint_n" -gt 0 ]; do
      stint_w=$1 stint_r= stint_m='{}'
      while :; do
        case $stint_w in
          *"$stint_m"*) stint_r=$stint_r${stint_w%%"$stint_m"*}$STINT_ITEM stint_w=${stint_w#*"$stint_m"} ;;
          *) break ;;
        esac
      done
      shift
      set -- "$@" "$stint_r$stint_w"
      stint_n=$((stint_n - 1))
    done

    """

  /// A text of which Kubernetes' `$(NAME)` expansion makes `text` again.
  static func escaped(_ text: String) -> String {
    let bytes = Array(text.utf8)
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count)
    for (position, byte) in bytes.enumerated() {
      output.append(byte)
      let next = position + 1 < bytes.count ? bytes[position + 1] : 0
      if byte == UInt8(ascii: "$"), next == UInt8(ascii: "(") || next == byte { output.append(byte) }
    }
    return String(decoding: output, as: UTF8.self)
  }
}
