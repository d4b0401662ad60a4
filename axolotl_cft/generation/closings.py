"""What models add to a prompt, or say of it instead, by language: patterns as data (pure).

Three classes, in the notation of `patterns`: an offer or a request to the one who asked, a remark
on the prompt that went before, and a task for somebody who is to lead the reader. Most stand where
a sentence begins, or a later one: within a sentence the same words may speak of the text.
"""

from collections.abc import Mapping

OFFERS: Mapping[str, str] = {
    "en": r"""
        + (?:please )?(?:advise|specify|indicate|confirm)\b
        + (?:if|should|whenever) you (?:have|need|want|require)\b[^.?!]{0,30}\b(?:questions
            |help|adjustments?|changes|revisions?|assistance|version|clarification|else|more)\b
        anything else (?:you|i)\b
        + (?:need|want|any) (?:\w+ ){0,3}(?:changes|adjustments?|version|revisions?|tweaks?
            |help)\b
        (?:^|\b)happy to (?:help|assist|adjust|revise|refine|provide|write|tailor)\b
    """,
    "de": r"""
        + (?:wenn|falls|sollten|sollte|bei) [^.?!]{0,50}\b(?:änderung\w*|anpassung\w*|version
            |variante|fassung|hilfe|rückfragen|wünsche\w*|unterstützung|alternativen?)\b
        (?:könnten|könntest|können|kannst|würden) (?:sie|du) (?:mir|uns|bitte)\b
        (?:stehe|bin) (?:ich )?(?:\w+ )?(?:gerne?|jederzeit)\b
        + melde(?:n sie|t)? (?:sich|dich|euch)\b
        soll ich (?:\w+ ){0,3}(?:text|prompt|ihnen|noch|eine|einen)\b
        + (?:lassen|geben|sagen|teilen) sie (?:es )?(?:mich|mir|uns)\b
        + (?:lass|gib|sag) (?:es )?(?:mich|mir)\b
        + (?:brauch|benötig|wünsch|möcht)\w+ (?:sie|du)\b[^.?]{0,60}\?
    """,
    "fr": r"""
        + (?:est-ce que )?(?:cela|ça|ceci) (?:vous|te) (?:convient|va)\b
        (?:à|reste) (?:votre|ta) disposition\b
        (?:dites|dis|faites|fais|indiquez|précisez)-(?:moi|le-moi|le moi)\b|\bme (?:le )?(?:dire
            |demander|préciser|fournir|communiquer|signaler)\b
        + si (?:vous|tu|besoin)\b[^.?!]{0,50}\b(?:version|modifi\w+|ajuste\w+|adapt\w+|aide
            |précisions|autre chose|variante|reformul\w+|changements?)\b
        + (?:souhait|voul|désir|aimer|préfér|av)\w*-(?:vous|tu)\b[^.?!]{0,60}\b(?:version
            |modif\w+|ajust\w+|adapt\w+|je|aide|besoin|autre)\b
        (?:pourriez|pouvez|peux|pourrais)-(?:vous|tu) (?:s'il (?:vous|te) plaît,? )?(?:me|m')
    """,
    "es": r"""
        (?:decírmelo|avisarme|pedírmelo|indícame|indíqueme|dime|dígame|házmelo|proporcióname
            |proporcióneme|facilítame|compárteme|pásame|pregúntame)\b
        (?:a (?:tu|su) (?:disposición|entera)|quedo a\b|no dudes? en (?:\w+me|pedir|consultar))
        + si (?:\w+ )?(?:neces|dese|quier|prefier|requier|hay)\w*\b[^.?!]{0,40}\b(?:cambios?
            |ajustes?|ajust\w+|modific\w+|versión|más breve|más corta?|ayuda|algo más|otra cosa
            |otro|otra|alternativas?)\b
        + ¿?(?:te|le|les) (?:gustaría|parece|sirve|interesa)\b
        + ¿?(?:quieres|quiere|necesitas|necesita|deseas|desea|prefieres|puedo|podría)\b[^.?]{0,60}\?
        (?:podrías|podría|puedes|puede) (?:\w+me|por favor|compartir|enviar)\b
    """,
    "pt": r"""
        (?:me (?:avise|diga|informe|fale|envie|forneça|mande)|(?:avise|diga|informe|fale|envie
            |forneça|mande)-me|é só (?:avisar|dizer|pedir|falar)|basta (?:avisar|dizer|pedir))\b
        (?:à|a sua|ao seu) disposição\b|\bestou aqui para\b|\bfique à vontade para (?:me|pedir
            |perguntar|ajustar|solicitar)
        + (?:se|caso) (?:\w+ )?(?:precis|quis|quer|desej|prefer|houver|tiver)\w*\b[^.?!]{0,40}
            \b(?:ajustes?|ajust\w+|mudanças?|alteraç\w+|modific\w+|versão|ajuda|algo mais|outr[ao]
            |mais curt[ao]|alternativas?)\b
        + (?:gostaria|quer|deseja|precisa|prefere|posso)\b[^.?]{0,60}\?
        (?:poderia|pode|podes) (?:me|por favor)\b
    """,
    "it": r"""
        (?:a (?:tua|sua|vostra) )?disposizione\b(?= ?[.!]|$| per)
        (?:fammi|mi faccia|dimmi|mi dica|fornisci\w*mi|forniscimi|inviami|indicami|condividi con me
            )\b|\bnon (?:esitare|esiti) a\b
        + se (?:\w+ ){0,2}(?:bisogno|desider\w+|vuo\w*|prefer\w+|serv\w+|occorr\w+|necessari\w+
            )\b[^.?!]{0,40}\b(?:altro|modific\w+|versione|aiuto|variant\w+|cambiament\w+
            |aggiust\w+|più brev\w|adatt\w+)\b
        + (?:vuoi|vuole|desideri|desidera|preferisci|ti va|posso|hai bisogno
            |ti serve)\b[^.?]{0,60}\?
        (?:puoi|potresti|potrebbe|può) (?:\w+rmi|per favore)\b
    """,
    "nl": r"""
        + (?:als|indien|mocht) (?:je|u)\b[^.?!]{0,50}\b(?:aanpass\w+|wijzig\w+|versie|hulp|nodig
            |verander\w+|anders)\b
        (?:laat|geef|vertel) (?:het )?(?:me|mij)\b|\b(?:tot|staat|sta) (?:\w+ )?dienst\b
        + (?:wil|wilt|heb|heeft|zou) (?:je|u)\b[^.?]{0,60}\?
    """,
    "pl": r"""
        + (?:jeśli|jeżeli|w razie|gdyby\w*)\b[^.?!]{0,50}\b(?:zmian\w*|pomoc\w*|wersj\w+
            |pytań|popraw\w+|mog[ęe]|popraw\w*|inn\w+|daj|dajcie|napisz)\b
        (?:daj|dajcie|proszę dać|powiedz) (?:mi )?znać\b|\bchętnie (?:pomog|przygot|napisz|popraw
            |dostos)\w+
        + (?:czy )?(?:chcesz|chciał\w+|potrzebujesz|mam|mogę|mogła?bym)\b[^.?]{0,60}\?
    """,
    "ru": r"""
        + если (?:\w+ ){0,3}(?:хот\w+|нужн\w+|потребу\w+|необходим\w+|жела\w+|понадоб\w+
            |возникн\w+|есть)\b[^.?!]{0,60}\b(?:измен\w+|вариант\w*|верси\w+|помо\w+|правк\w+|знать
            |сообщ\w+|скаж\w+|напиш\w+|корот\w+|вопрос\w*|готов\w*|обра\w+|могу|уточн\w+)\b
        + (?:обращайтесь|пишите),? если\b
        (?:буду рад|рада?|готова?) (?:\w+ )?(?:помочь|ответить|изменить|доработать|предложить
            |предоставить)\b|\b(?:сообщите|скажите|напишите|пришлите) мне\b
        + (?:хотите|нужно|нужна|нужен|желаете)\b[^.?]{0,60}\?
    """,
    "uk": r"""
        + якщо (?:\w+ ){0,3}(?:хоч\w+|потріб\w+|бажа\w+|необхідн\w+|виникн\w+|є)\b[^.?!]{0,60}
            \b(?:змін\w+|варіант\w*|версі\w+|допомо\w+|знати|повідом\w+|скаж\w+|напиш\w+
            |корот\w+|запитан\w*|питан\w+|готов\w*|можу|уточн\w+)\b
        (?:буд[уе]|рада?|радий|готов\w*) (?:\w+ )?(?:допомогти|відповісти|змінити)\b
        (?:повідомте|скажіть|напишіть|надішліть|надайте|дайте) мені\b
        + (?:хочете|потрібн\w+|бажаєте)\b[^.?]{0,60}\?
        (?:цей|даний) (?:промпт|запит)\b
    """,
    "tr": r"""
        (?:yardımcı ol(?:maktan|abilirim|urum|ayım|mamı)|memnuniyet duyarım|memnun olurum
            |bildirin|bana (?:bildir|ulaş|sor|söyle)\w*|çekinmeyin|çekinmeden|haber ver\w*)
        + (?:başka|farklı|daha)\b[^.?!]{0,50}\b(?:iste\w*|ister\w*|ihtiyac\w+|sürüm\w*)\b
        (?:hazırladım|yazdım|oluşturdum|düzenleyebilirim|değiştirebilirim|sunabilirim
            |paylaşır mısınız|gönderir misiniz|paylaşabilir misiniz)\b
    """,
    "id, ms": r"""
        (?:beri ?tahu|kabari|hubungi) (?:saya|kami)\b|\bsenang (?:membantu|dapat membantu)\b
        + (?:jika|apabila|kalau|bila) (?:anda |kamu )?(?:\w+ )?(?:butuh|membutuhkan|memerlukan
            |perlu|ingin|mau)\b
        + apakah (?:anda|kamu) (?:ingin|mau|membutuhkan|memerlukan)\b
    """,
    "vi": r"""
        (?:cho|với|giúp) (?:tôi|mình|em)\b
        + nếu (?:bạn|anh|chị|quý vị)?\s?(?:cần|muốn|có)\b[^.?!]{0,60}\b(?:chỉnh|sửa|thêm|khác|hỗ trợ
            |giúp|thay đổi|cho biết|phiên bản)\b
        + bạn có (?:muốn|cần)\b|\bhy vọng (?:điều|lời|gợi ý|nội dung)? ?này\b|\b(?:tôi|mình
            |em) (?:có thể|sẽ|đã
            |rất|rất vui)\b
    """,
    "sv, da, no": r"""
        (?:säg|sig|si) (?:gärna |gerne )?(?:till|til)\b|\b(?:hör|høre?) av dig\b
        + (?:om|hvis) (?:du|ni|dere)\b[^.?!]{0,50}\b(?:ändr\w+|ændr\w+|endr\w+|version|versjon
            |hjälp|hjælp|hjelp|annat|andet|annet)\b
        + (?:vill|vil|ønsker|önskar|behöver) (?:du|ni|dere)\b[^.?]{0,60}\?
    """,
    "cs, sk": r"""
        + (?:pokud|kdyby\w*|ak)\b[^.?!]{0,50}\b(?:změn\w+|úprav\w+|uprav\w+|verz\w+|pomoc\w*
            |zmen\w+|jin\w+)\b
        (?:dejte|dej|dajte|daj) mi vědět\b|\brád[ai]? (?:vám |ti )?(?:pomohu|pomůžu|upravím)\b
    """,
    "zh": r"""
        ~(?:如果|如|若|倘若|要是|是否|还)(?:您|你)?(?:还)?(?:需要|需|想要|希望|有)(?:我|任何|其他|进一步
            |更多|修改|调整|别的|不同|更短|另)
        ~(?:请|欢迎)?(?:随时|尽管)(?:告诉|告知|联系|提出|提问|说)|我(?:很)?(?:乐意|可以帮|来帮)
        ~请问(?:您|你|有)|(?:您|你)(?:还)?需要(?:什么|我|哪)
        ~(?:希望|但愿)(?:这|以上|对|能帮|我的)|(?:供|请)(?:您|你)?参考[。!]|是否(?:符合|满足|合适)
    """,
    "ja": r"""
        ~(?:いたします|致します|させていただ|いただけます|いただければ|頂けます|くださいませ|申し上げ
            |ございます|ございましたら|お気軽に|ご遠慮なく|遠慮なく|お手伝い|お伝えください)
        ~ご(?:確認|希望|要望|質問|不明|必要)
        ~(?:修正|調整|変更|作成|作り直)(?:します|しましょうか|できます|も可能)|何か(?:他に|あれば)
    """,
    "ko": r"""
        ~(?:드리겠|드릴게|드릴까|드릴 수|드립니다|드렸습니다|말씀해 ?주|알려 ?주세요|알려 ?주시
            |문의해|요청해 ?주|수정해 ?드|필요하면|원하면 )
        + (?:더|또) [^.]{0,12}(?:수정|고칠|필요|도와)[^.]*
        ~(?:필요한|원하는|궁금한|추가)[^.]{0,15}있으(?:면|시면)
    """,
    "ar": r"""
        ~(?:أعلمني|أخبرني|أخبروني|لا تتردد|يسعدني|يسرني|سأكون|سأقوم|يمكنني|بإمكاني|أستطيع|في خدمتك
            |لمساعدتك|مساعدتك|تعديله|تقصيره)
        + (?:هل|إذا|إن) (?:كنت )?(?:ترغب|تريد|تود|ترغبون|تفضل|أردت|رغبت|احتجت|تحتاج|كنت|كان)\W
    """,
    "hi": r"""
        + (?:यदि|अगर) (?:आप|आपको|कोई|कुछ|और)[^।?]{0,50}(?:बदलाव|परिवर्तन|संशोधन|मदद|सहायता|बताएं
            |बताएँ
            |बताइए|संस्करण|छोटा|जानकारी)
        ~(?:कर|दे|लिख|बना) (?:सकता|सकती) हूँ?|(?:करूँगा|करूंगा|करूँगी|करूंगी|दूँगा|दूंगा)
        + क्या (?:आप|मैं)[^।?]{0,40}(?:चाहते|चाहेंगे|चाहेंगी|सकता|सकती)
    """,
}
"""The speaker offers another version or help, asks for the text, or waits for an answer."""

HOPES: Mapping[str, str] = {
    "by language": r"""
        + (?:i |ich |j'|ik |ja |я |jag |jeg )?(?:hope|hoffe|hoffentlich|espère|espérons|en espérant
            |espero|esperamos|spero|speriamo|hoop|hopelijk|mam nadzieję|надеюсь|надеемся|сподіваюс\w
            |umarım|umuyorum|hy vọng|semoga|hoppas|håber|håper|doufám)\b(?! (?:to|zu|que) (?:see
            |find
            |sehen))
        + (?:希望这|希望以上|希望能帮|希望对|آمل|أرجو|أتمنى|आशा है|उम्मीद है|मुझे उम्मीद)
        ~幸いです|参考(?:になれば|にして)|(?:되길|되기를|되셨으면|되었으면|되면)[^.]{0,4}(?:바라|바랍|좋겠)
    """,
}
"""The speaker hopes to have served."""

READERS = (
    r"\b(?:readers?|learners?|leser\w*|lecteurs?|lectrices?|lector(?:es|as?)?|leitor(?:es|as?)?"
    r"|lettor[ei]|lettric[ei]|lezers?|czytelni\w+|читател\w+|читач\w+|okuyucu\w*|okurun?\b"
    r"|pembaca|người đọc|độc giả|läsar\w+|læser\w*|čtenář\w*)\b"
    r"|读者|讀者|読者|読み手|독자|학습자|القارئ|القراء|पाठक"
)
"""Who is meant to read, in the third person."""

REMARKS: Mapping[str, str] = {
    "de": r"""
        + (?:diese[rs]?|die|der) (?:frage|aufforderung|anregung|anweisung|satz|hinweis|impuls
            |formulierung|prompt|einladung|denkanstoß|leitfrage)\b(?![^.?!]*\b(?:dir|dich|ihnen
            |euch|du|ihr)\b)[^.?!]{0,60}\b(?:leser\w*|lernende\w*|ermutigt|regt|lädt|hilft|fördert
            |lenkt|zielt|ermöglicht)\b
        + (?:so|dadurch|damit|auf diese weise) (?:wird|werden) [^.?!]{0,60}\b(?:thema|leser\w*|fokus
            |mittelpunkt|aufmerksamkeit)\b
        + damit (?:ist|wird|werden|sind) (?:die|der|das) (?:\w+ )?(?:strategie|aufgabe|leser\w*
            |vorgabe\w*|anforderung\w*)\b
    """,
    "fr": r"""
        + (?:cette|cet?|la|l') ?(?:question|phrase|consigne|invite|prompt|invitation|approche
            |formulation|incitation|indication)\b(?![^.?!]*\b(?:vous|t|te|votre|vos)\b)
            [^.?!]{0,60}\b(?:lecteurs?|lectrice|encourage|incite|vise|permet|aide|oriente
            |attire|pousse|met l'accent)\b
    """,
    "es": r"""
        + est[ea] (?:prompt|pregunta|frase|indicación|instrucción|consigna|invitación|enfoque
            |formulación|mensaje|propuesta|planteamiento)\b(?![^.?!]*\b(?:te|tu|tus|ti)\b)
            [^.?!]{0,60}\b(?:lector\w*|invita|anima|ayuda|busca|fomenta|promueve|permite|orienta
            |centra|dirige|motiva|pretende)\b
    """,
    "pt": r"""
        + (?:est[ea]|ess[ea]) (?:prompt|pergunta|frase|indicação|instrução|convite|abordagem
            |formulação|mensagem|proposta|comando)\b(?![^.?!]*\b(?:você|te|teu|tua)\b)[^.?!]{0,60}
            \b(?:leitor\w*|convida|incentiva|ajuda|busca|promove|permite|orienta|estimula
            |direciona|encoraja|visa|motiva)\b
    """,
    "it": r"""
        + quest[oa] (?:invito|prompt|domanda|frase|spunto|indicazione|consegna|approccio
            |formulazione|istruzione)\b(?![^.?!]*\b(?:ti|te|tuo|tua|vi)\b)[^.?!]{0,60}\b(?:lettor\w+
            |invita|incoraggia|aiuta|stimola|promuove|permette|guida|mira|favorisce|spinge)\b
    """,
    "nl": r"""
        + (?:deze|dit) (?:vraag|zin|aansporing|instructie|uitnodiging|formulering|opdracht
            )\b(?![^.?!]*\b(?:je|jou|u)\b)[^.?!]{0,60}\b(?:lezers?|moedigt|nodigt|stimuleert|helpt
            |richt|zet)\b
    """,
    "pl": r"""
        + (?:to|ta|ten) (?:pytanie|zdanie|wskazówka|zachęta|polecenie|sformułowanie|podpowiedź
            )\b[^.?!]{0,60}\b(?:czytelnik\w*|zachęca|pomaga|skłania|kieruje|ma na celu)\b
    """,
    "ru": r"""
        + (?:это|этот|эта|такой|такая|данный|данная) (?:вопрос|фраза|подсказка|предложение|задание
            |формулировка|приглашение|обращение|установка|текст подсказки)\b[^.?!]{0,60}
            \b(?:читател\w+|помога\w+|побужда\w+|направ\w+|стимулир\w+|позволя\w+)\b
    """,
    "uk": r"""
        + (?:це|цей|ця|такий|така) (?:питання|запитання|фраза|підказка|речення|завдання
            |формулювання|запрошення)\b[^.?!]{0,60}\b(?:читач\w+|допомага\w+|спонука\w+
            |заохочу\w+|спрямову\w+)\b
    """,
    "tr": r"""
        + bu (?:soru|cümle|ifade|yönlendirme|çağrı|metin)\b[^.?!]{0,80}\b(?:okuyucu\w*|okur\w*
            |teşvik)\b
    """,
    "id, ms": r"""
        + (?:prompt|pertanyaan|kalimat|petunjuk|ajakan) ini\b[^.?!]{0,60}\b(?:pembaca|mendorong
            |membantu|mengajak)\b
    """,
    "vi": r"""
        + (?:lời nhắc|câu hỏi|câu|gợi ý|lời gợi ý|lời dẫn|đề bài) này\b[^.?!]{0,60}\b(?:người đọc
            |độc giả|khuyến khích|giúp|hướng|nhằm)\b
    """,
    "sv, da, no": r"""
        + (?:denna|detta|den här|denne|dette|dette) (?:fråga|prompt|uppmaning|mening|opfordring
            |oppfordring|spørgsmål|spørsmål)\w*\b[^.?!]{0,60}\b(?:läsare\w*|læser\w*|leser\w*)\b
    """,
    "zh": r"""
        + (?:这|该|此|以上|上述)[^。]{0,8}(?:旨在|引导|鼓励|帮助|促使|激发|强调
            |突出|有助于|能够|符合)
        ~[。!?][((]?(?:注|注意|说明|备注|解析|解释)[::]
    """,
    "ja": r"""
        + (?:この|これ|こう|上記)[^。]{0,20}(?:読者|読み手)[^。]*
        + (?:この|これ|こう)[^。]{0,12}(?:プロンプト|問いかけ|促し|一文|文章は、)
    """,
    "ko": r"""
        + (?:이|위|이러한|이렇게|본) ?[^.]{0,20}(?:독자|학습자
            |핵심)[^.]{0,40}(?:합니다|됩니다|줍니다|습니다
            |니다)
    """,
    "ar": r"""
        + (?:يهدف|تهدف|يشجع|تشجع|يساعد|تساعد|يوجه|توجه|يدعو|تدعو) (?:هذا|هذه)\W
        + (?:هذا|هذه) (?:السؤال|الجملة|العبارة|التوجيه|الموجه|الدعوة|الصياغة)\W[^.؟!]{0,40}(?:القارئ
            |القراء|التركيز)
    """,
    "hi": r"""
        + यह (?:वाक्य|प्रश्न|संकेत|निर्देश|कथन|संदेश)[^।?]{0,50}(?:पाठक|प्रेरित|मदद|प्रोत्साहित)
    """,
}
"""A later sentence says what the prompt does for its reader."""

FOR_A_LEADER: Mapping[str, str] = {
    "en": r"""
        . readers will\b(?=[^.]*\.?$)
        . an? (?:reader|learner|student) (?:should|will|may|might|can|must|needs?)\b
        . (?:an? |the )?(?:\w+ )?prompt (?:that|which|should|could|would|might|for)\b
    """,
    "de": r"""
        . (?:ermutig|ermunter|reg|forder|leit|führ|motivier|bring)\w* (?:sie )?(?:die|den|das)\s
            (?:leser\w*|publikum|lernende\w*)\b
        . (?:den|die) leser\w* (?:\w+ )?(?:ermutigen|anregen|auffordern|einladen|motivieren|dazu)\b
    """,
    "fr": r"""
        . (?:invit|encourag|incit|amen|amèn|aid|pouss|guid|orient)\w+ (?:le |la |les |l')
            (?:lecteurs?|lectrices?|lectorat|apprenants?|élèves?|étudiants?)\b
    """,
    "es": r"""
        . (?:invit|anim|alent|alien|motiv|ayud|gui|guí|llev|estimul|incit)\w+ (?:a )?(?:al|a la
            |a los|el|los) (?:lector\w*|estudiante\w*|alumn\w+)\b
    """,
    "pt": r"""
        . (?:incentiv|convid|encoraj|estimul|ajud|gui|lev|motiv|conduz)\w* (?:o|a|os|as|ao|aos)\s
            (?:leitor\w*|alun\w+|estudante\w*)\b
    """,
    "it": r"""
        . (?:invit|incoragg|stimol|aiut|guid|sping|port|motiv)\w+ (?:il |i |la |lo |gli |le |l')
            ?(?:lettor\w+|lettric\w+|student\w+|alunn\w+)\b
    """,
    "nl": r"""
        . (?:moedig|nodig|help|laat|stimuleer|zet|motiveer) (?:de )?(?:lezers?|leerlingen)\b
    """,
    "pl": r"""
        . (?:zachęć|zachęcaj|zachęcić|skłoń|skłonić|pomóż|poproś)\w* (?:czytelnik\w*|uczni\w*)\b
    """,
    "ru": r"""
        . (?:побуд\w+|предлож\w+|пригла\w+|помо\w+|поощр\w+|заста\w+) (?:читател\w+|ученик\w+)\b
        . читател\w+ (?:предлагается|приглаша\w+|узна\w+)\b
    """,
    "uk": r"""
        . (?:заохо\w+|спонука\w+|запрос\w+|допомо\w+|запропону\w+) (?:читач\w+|учн\w+)\b
        . читач\w+ (?:пропонується|запрошу\w+|дізна\w+)\b
    """,
    "tr": r"""
        . (?:okuyucu|okur)(?:y[ıu]|lar[ıi]|nun|un)\b[^.?!]{0,80}\b(?:teşvik ed\w*|yönlendir\w*)
    """,
    "id, ms": r"""
        . (?:ajak|dorong|bantu|arahkan)(?:lah)? (?:para )?pembaca\b
    """,
    "vi": r"""
        . (?:khuyến khích|mời|giúp|hướng dẫn|hướng|dẫn dắt) (?:người đọc|độc giả|học sinh)\b
    """,
    "zh": r"""
        ~(?:^|[,。])(?:读者|学生|学习者)(?:可以|可|将|会|能|应|需)
        . (?:引导|鼓励|启发|促使|帮助|激发|邀请|提醒|让)(?:读者|学生|学习者)
    """,
    "ja": r"""
        . (?:読者|読み手)(?:が|に|を)[^。]*(?:促す|導く|誘う|させる|こと|ように(?:する)?)[。]?$
    """,
    "ko": r"""
        . 독자(?:가|에게|를|들이)[^.]*(?:유도|이끌|격려|장려|도록)[^.]{0,6}(?:다|함|기)[.]?$
    """,
    "ar": r"""
        . (?:شجع|ادع|حث|ساعد|وجه|تشجيع|دعوة|حث|توجيه) (?:القارئ|القراء)
    """,
    "hi": r"""
        . पाठकों? को[^।]*(?:प्रेरित|प्रोत्साहित|कहें|आमंत्रित)
    """,
}
"""The reader is to be led by somebody, who is the one told."""
