// Owns: text of objects that is harmless on a terminal: who may write an object must not write on an administrator's
// screen, nor its title. It must not know colours: they are added after.

enum TerminalText {
  /// The text with what a terminal would act on in a visible form: `^[` for escape, as kubectl has it, and code points
  /// for other controls and for what turns the direction of writing. Line ends and tabs stay.
  static func harmless(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isActive) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      if !isActive(scalar) {
        result.unicodeScalars.append(scalar)
      } else if scalar.value < 0x20, let letter = Unicode.Scalar(scalar.value + 0x40) {
        result += "^\(letter)"
      } else {
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
      }
    }
    return result
  }

  private static func isActive(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09, 0x0A: false
    case 0..<0x20, 0x7F...0x9F, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true
    default: false
    }
  }
}
