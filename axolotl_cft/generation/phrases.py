"""What models say where a prompt was asked for, by language: patterns as data (pure).

A prompt speaks to a reader about a text. What is listed here speaks of the speaker, of the request,
or of the answer itself. The notation is that of `patterns`.
"""

from collections.abc import Mapping

REFUSALS: Mapping[str, str] = {
    "en": r"""
        (?:i(?:'m| am) (?:very |so |really |truly )?sorry|my apologies)\b
        . (?:must |do )?apologi[sz]e\b
        (?:i|we) (?:must |do )?apologi[sz]e\b
        . (?:sorry|unfortunately),?\s+(?:but\s+)?(?:i|we|this|that|there|no|something)\b
        i (?:can't|cannot|can not|won't|will not|could not|couldn't|am unable to
            |'m unable to)\s(?:help|assist|provide|create|generate|write|fulfil|comply|answer|do
            |discuss|produce|offer|give|engage|continue|process|see|access|read|find|summari[sz]e
            |open|view|complete)
        i(?:'m| am) (?:not able|unable|not comfortable|not allowed|not permitted)\b
        i must (?:decline|refuse)
        i(?:'d| would) (?:rather not|need (?:more|the|to see))
        i (?:don't|do not) (?:have|see any|see a|feel|know what)\b
        i (?:didn't|did not) (?:see|find|receive|get)\b
        as an? (?:\w+ )?(?:ai|artificial intelligence|language model
            |assistant)\b[^.]{0,30},?\s+i\b
        (?:this|that|it|request|content)\s(?:\w+\s){0,3}(?:against|violates?)\s(?:(?:my|our
            |openai's|usage)\b|content polic|safety polic)
        please (?:share|provide|paste|send|upload|supply|attach|include)\b
        . could you (?:please )?(?:share|provide|paste|send|upload|clarify)\b
        ^(?:cannot|can't|unable to|not able to) (?:help|comply|assist|process|generate|create
            |provide|complete|fulfil|answer|write|produce|read)
        ^(?:request (?:denied|rejected)|content (?:blocked|filtered|removed))\b
        i(?:'m| am) (?:just |only )?an? (?:\w+ )?(?:ai|language model|assistant|chatbot)\b
        i (?:won't|will not) be able\b
        not (?:something|a request) (?:that )?i\b
        my (?:guidelines|programming|policies|policy|capabilities)\b
        you (?:haven't|have not|didn't|did not) (?:actually )?(?:provided?|included?|shared?
            |attach(?:ed)?|pasted?)\b
        there(?:'s| is| was) no (?:text|document|passage|content|attachment) (?:in your|provided
            |attached|given|to)\b
        . (?:the|your) (?:document|passage|input|message|file) (?:appears|seems
            |is)\s(?:to be )?(?:empty|missing|blank)\b
        no (?:\w+ )?prompt (?:could|can|was|is)\b
        it (?:looks|seems|appears) (?:like|that|as if)\s(?:you(?:'ve| have| forgot| did| haven't)
            |your (?:text|message)|no (?:text|document)|the text (?:is|was|you))\b
        . the (?:provided |given )?text (?:provided |given )?(?:is|appears|seems|does not
            |doesn't) (?:to be )?(?:empty|missing|incomplete|too short|cut off|contain enough)
        no (?:text|document|passage|content|input) (?:was|has been|is|were) (?:provided|given
            |included)
        not something (?:that )?i\b|\b(?:falls?|is|lies) (?:outside|beyond) (?:of )?(?:what|my
            |the scope)
        i(?:'m| am) afraid (?:that )?(?:i|this|that|it|there)\b
        my (?:knowledge|training|abilities|ability|instructions)\b
        (?:would not|wouldn't|isn't|is not|not) (?:be )?appropriate (?:for me |to (?:write|create
            |provide|generate|give))
        (?:no|any) (?:\w+ )?(?:text|document|passage|file|content)\b[^.?!]{0,30}\b(?:attach
            |provided|your message|available to me)
        (?:this|your|the) (?:request|content|topic)\b[^.?!]{0,40}\b(?:violat|not (?:permitted
            |allowed)|against (?:our|my|the) |cannot be (?:processed|answered|fulfilled))
        (?:could|can|would|will) you (?:please )?(?:\w+ )?(?:paste|send|upload|resend|attach
            |share the|(?:clarify|specify) (?:what|which|your))\b
        . we (?:regret|apologi[sz]e|are sorry|are unable|cannot)\b
        (?:it (?:looks|seems|appears)|apparently)\b[^.]{0,20}\b(?:text|passage|document
            |message)\b[^.]{0,40}\b(?:missing|empty|incomplete|cut off|not (?:attached
            |included))\b
    """,
    "de": r"""
        (?:ich (?:kann|darf)|(?:kann|darf) ich)\b[^.?!]{0,90}\b(?:nicht|keine?\w*|leider)\b
        ich bin (?:nur )?(?:eine? )?(?:ki\b|künstliche|sprachmodell)
        ich bin (?:leider )?nicht (?:in der lage|befugt)
        (?:es )?tut mir (?:sehr )?leid\b
        ^(?:entschuldigung|entschuldigen sie|verzeihung|leider)\b[^.?!]{0,30}\b(?:ich|mir)\b
        als (?:ki|künstliche intelligenz|sprachmodell|ki-\w*(?:modell
            |assistent))\b[^.]{0,60}\bich\b
        kein(?:en)? text (?:vorhanden|angegeben|erhalten|übermittelt|gefunden)
        es wurde kein text\b
        bitte (?:stellen|geben|senden|schicken|teilen|fügen|laden) sie\b[^.]{0,20}\b(?:text
            |dokument)
        keine?n? (?:\w+ )?(?:text|dokument)\b[^.?!]{0,30}\b(?:angehängt|beigefügt|nachricht
            |mitgeschickt)
        (?:anfrage|inhalt|thema)\w* (?:\w+ ){0,3}(?:verstößt|verletzt|verstoßen)
        (?:der|ihr|dein) (?:text|dokument) (?:\w+ )?(?:scheint|ist|wirkt) (?:\w+ )?(?:leer
            |unvollständig|abgeschnitten)
        (?:könnten|könntest|können|kannst) (?:sie|du)\b[^.?]{0,40}\b(?:senden|schicken|einfügen
            |bereitstellen|hochladen|zusenden|mitteilen)\b
        ^(?:leider|bedauerlicherweise)\b[^.]{0,60}\b(?:nicht möglich|unmöglich|keinen text)\b
    """,
    "fr": r"""
        je (?:suis|reste) (?:\w+ )?(?:désolée?|incapable|dans l'impossibilité)
        ^désolée?\b
        je (?:ne |n')(?:peux|puis|pourrai|saurais|suis|dispose|ai) (?:\w+ )?pas\b
        je suis (?:une? )?(?:ia\b|intelligence artificielle|modèle)
        je m'excuse\b
        il m'est impossible\b
        je regrette\b
        en tant qu(?:e modèle|'ia\b|'intelligence artificielle|'assistant (?:ia|virtuel))
        aucun texte (?:n'a|n'est|fourni)
        veuillez (?:me )?(?:fournir|partager|transmettre|envoyer)
        aucun (?:texte|document) (?:\w+ ){0,2}(?:fourni|joint|reçu)
        (?:demande|contenu|sujet) (?:\w+ ){0,2}(?:enfreint|viole|contrevient)
        il ne m'est pas possible\b
        ^(?:malheureusement|hélas)\b[^.]{0,60}\b(?:je|m'est|impossible|aucun)\b
        (?:pourriez|pouvez|pourrais|peux)-(?:vous|tu) (?:\w+ |l')?(?:\w+ )?(?:envoyer|fournir
            |partager|coller|transmettre|renvoyer|préciser)\b
    """,
    "es": r"""
        lo siento(?: mucho)?(?:[,.!](?! (?:dice|dijo|repite|responde)\b)| pero\b)
        ^(?:lamentablemente|desafortunadamente)\b[^.]{0,60}\bno\b
        lamento (?:no|pero|informar|mucho)\b
        ^(?:disculp[ae]|perdón|perdona)\b
        me disculpo\b
        no (?:puedo|me es posible|soy capaz|estoy en)\b
        como (?:una? )?(?:ia|inteligencia artificial|modelo de lenguaje|asistente (?:de ia
            |virtual))\b
        soy (?:una? )?(?:ia\b|modelo|inteligencia artificial)
        me temo que\b
        no (?:se ha|has|se me ha) proporcionado\b
        por favor,? (?:proporcion|compart|envíe|envía|adjunt)\w*
        (?:no (?:veo|encuentro|encontré) (?:el|un|ningún)) (?:texto|documento)\b
        (?:solicitud|contenido|tema) (?:\w+ ){0,2}(?:infringe|viola|incumple)
        no es posible (?:generar|crear|responder|proporcionar|atender|procesar)
        (?:podrías|podría|puedes|puede) (?:\w+ )?(?:enviar|compartir|pegar|proporcionar)\w*\b
    """,
    "pt": r"""
        ^(?:desculpe?|perdão)\b
        (?:sinto muito|peço desculpas?|infelizmente|lamento)\b[^.]{0,25}\bnão\b
        não (?:posso|consigo|me é possível|sou capaz|estou apto)\b
        como (?:uma? )?(?:ia|inteligência artificial|modelo de linguagem|assistente (?:de ia
            |virtual))\b
        por favor,? (?:forneça|compartilhe|envie|partilhe|cole)\b
        nenhum (?:texto|documento)\b[^.?!]{0,25}\b(?:mensagem|anex|fornec|encontr|enviad)
        (?:não (?:vejo|encontrei|recebi)) (?:nenhum |o |um )?(?:texto|documento)\b
        (?:pedido|conteúdo|solicitação) (?:\w+ ){0,2}(?:viola|infringe)
        (?:poderia|pode|podes|poderias) (?:\w+ )?(?:enviar|enviá|colar|compartilhar|fornecer
            |mandar|partilhar)\b
    """,
    "it": r"""
        (?:mi dispiace|sono spiacente)\b
        ^(?:spiacente|purtroppo|scusa|scusi|chiedo scusa)\b
        non (?:posso|sono in grado|mi è possibile|riesco a|ho la possibilità)\b
        come (?:una? ?'?)?(?:ia|intelligenza artificiale|modello linguistico|assistente (?:ia
            |virtuale))\b
        per favore,? (?:fornisci|condividi|invia|fornisca|condivida)\w*
        non (?:vedo|trovo|ho ricevuto) (?:alcun|nessun) ?(?:testo|documento)\b
        (?:richiesta|contenuto) (?:\w+ ){0,2}(?:viola|infrange)
        (?:potresti|potrebbe|puoi|può) (?:\w+ )?(?:inviar|incollar|condivider|fornir)\w*\b
    """,
    "nl": r"""
        (?:ik (?:kan|mag)|kan ik)\b[^.?!]{0,90}\b(?:niet|geen|helaas)\b
        het spijt me\b
        ^(?:sorry|helaas|excuses)\b[^.?!]{0,30}\b(?:ik|me|mij)\b
        ik ben (?:helaas )?niet in staat\b
        als (?:ai|taalmodel|ai-\w+)\b[^.]{0,60}\bik\b
        geen (?:tekst|document)\b[^.?!]{0,20}\b(?:meegestuurd|bijgevoegd|ontvangen|gevonden)
        (?:verzoek|inhoud) (?:\w+ ){0,3}(?:schendt|strijd)
        (?:kunt|kun|zou|zoudt) (?:u|je)\b[^.?]{0,40}\b(?:sturen|plakken|toesturen|opsturen)\b
    """,
    "sv, da, no": r"""
        (?:jag kan|jeg kan|kan jag|kan jeg) (?:\w+ )?(?:inte|ikke)\b
        (?:jag är|jeg er) ledsen\b
        ^(?:tyvärr|desværre|dessverre|beklager|undskyld|förlåt)\b
        jeg beklager\b
        jag beklagar\b
    """,
    "fi": r"""
        en (?:voi|pysty)\b
        (?:olen pahoillani|pahoittelen)\b
        ^(?:valitettavasti|anteeksi)\b
    """,
    "pl": r"""
        nie (?:mogę|jestem w stanie|potrafię)\b
        przykro mi\b
        ^(?:przepraszam|niestety)\b
        jako (?:model językowy|sztuczna inteligencja|asystent ai|ai)\b
        proszę (?:o )?(?:podać|podanie|udostępni|przesła)
        (?:prośba|treść) (?:\w+ ){0,2}(?:narusza|wykracza)
        nie (?:widzę|znalaz\w+|otrzyma\w+) (?:\w+ )?tekstu\b
        (?:możesz|mógłbyś|mogłabyś|proszę) (?:\w+ )?(?:przesłać|wkleić|podać|udostępnić|wysłać)\b
    """,
    "cs, sk": r"""
        (?:nemohu|nemůžu|nemôžem|je mi líto|je mi ľúto|nejsem schopen)\b
        ^(?:omlouvám se|bohužel|promiňte|prepáčte|ospravedlňujem)\b
        jako (?:jazykový model|umělá inteligence)\b
    """,
    "ro, hu": r"""
        nu pot\b
        îmi pare rău\b
        ^(?:sajnálom|elnézést|sajnos)\b
        nem tudok (?:seg|ilyen)
    """,
    "ru": r"""
        не (?:могу|смогу|в состоянии|способен|способна|имею возможности)\b
        мне (?:очень )?жаль\b
        ^(?:извините|простите|прошу прощения|приношу извинения|к сожалению)\b
        я (?:являюсь |всего лишь )?(?:\w+ )?языков\w+ модел
        как (?:языковая модель|искусственный интеллект|ии)\b
        пожалуйста,? (?:предоставьте|пришлите|отправьте|вставьте)\b
        (?:запрос|просьба|содержание|тема) (?:\w+ ){0,2}(?:нарушает|противоречит)
        не (?:вижу|нашёл|нашел|получил) (?:\w+ )?текста\b
        (?:можете|могли бы вы|не могли бы|можешь)\b[^.?]{0,30}\b(?:прислать|отправить|вставить
            |предоставить)\b
    """,
    "uk": r"""
        не (?:можу|зможу|в змозі)\b
        ^(?:вибачте|перепрошую|на жаль)\b
        мені (?:дуже )?шкода\b
        як (?:мовна модель|штучний інтелект)\b
    """,
    "el": r"""
        δεν μπορώ\b
        ^(?:λυπάμαι|συγγνώμη|δυστυχώς|ζητώ συγγνώμη)
    """,
    "tr": r"""
        ^(?:üzgünüm|maalesef|ne yazık ki)
        ^özür dilerim(?:[,.!;:]| ama\b| ancak\b| fakat\b)
        \w+(?:amıyorum|emiyorum|[ae]m[ae]m)\b
        (?:olamam|edemem|veremem|yazamam|oluşturamam)\b
        (?:yapay zek[aâ]|dil)\b[^.]{0,20}\b(?:modeli|asistanı) olarak\b
        (?:istek|istek\w*|içerik|talep) (?:\w+ ){0,3}(?:ihlal|aykırı)
    """,
    "id, ms": r"""
        saya (?:\w+ )?(?:tidak|tak) (?:dapat|bisa|mampu|boleh)\b
        ^maaf\b
    """,
    "vi": r"""
        tôi (?:\w+ )?không thể\b
        ^(?:tôi )?(?:rất )?(?:xin lỗi|rất tiếc|lấy làm tiếc)
    """,
    "zh": r"""
        . (?:非常|十分|很|真的|实在)?(?:抱歉|对不起|對不起|遗憾|不好意思)(?:[,。!:]|我|但)
        ~我是[^。]{0,8}(?:ai|人工智能|语言模型|助手)
        ~我(?:们)?[^。!?]{0,18}(?:无法|無法|不能|不便|不可以|没有办法|没办法|没有能力)
        ~作为[^。,,]{0,8}(?:ai|人工智能|语言模型|大模型|助手)[^。]{0,4}[,,]\s*我
        ~无法(?:满足|协助|回答|完成|处理)(?:您|你|该|这|此)
        ~没有(?:看到|收到|找到)(?:任何)?(?:文本|文章|内容)
        ~(?:您|你)(?:没有|未)提供
        ~请(?:您)?(?:先)?提供(?:文本|文章|原文|具体|需要)
        ~(?:内容|请求|话题|问题)[^。]{0,10}(?:违反|涉及敏感|不予|违规)
        ~(?:还没有|尚未|没有)(?:学会|掌握)[^。]{0,8}(?:回答|处理)|暂(?:时|不)(?:无法|不|提供|回答
            |支持)
        ~请(?:您)?(?:重新|再次|先)?(?:发送|上传|粘贴|提交|分享)(?:一下)?(?:文本|文章|原文|内容
            |完整)
    """,
    "ja": r"""
        ~申し訳(?:ありません|ございません|ない|なく)
        ~(?:テキスト|本文|文章)[がは](?:提供|添付|入力|含ま)[^。]*ません
        ~すみませんが
        ~(?:でき|いたし|し)かねます
        ~お応えできません
        . (?:残念ながら|恐れ入りますが)
        ~(?:提供|作成|生成|回答|対応|お答え|お手伝い|お応え|支援)[^。]{0,8}(?:できません
            |出来ません|致しません)
        ~(?:ai|人工知能|言語モデル)[^。]{0,8}として[^。]*ません
        ~(?:控えさせて|差し控え|対応して(?:おりません|いません)|お答えでき)
        ~(?:テキスト|本文|文章)(?:が|は)(?:見当たり|見つかり|届い)[^。]*(?:ません|ない)
    """,
    "ko": r"""
        . (?:정말\s|대단히\s)?(?:죄송|미안|유감)
        ~(?:도와|제공|생성|답변|작성|응|만들어|처리|수행)[^.]{0,10}\s수\s?(?:가\s)?없(?:습니다
            |어요|네요)
        ~(?:텍스트|본문|글)[가이] (?:제공|첨부|입력)[^.]*지 않
        ~(?:ai|인공지능|언어 ?모델)[^.]{0,10}(?:으로서|로서)
        ~(?:정책|가이드라인|지침)[에을를]? ?(?:위배|위반|어긋)
        ~(?:텍스트|본문|글|문서)[을를]?[^.]{0,10}(?:보내|제공해|붙여|공유해
            |입력해)[^.]{0,5}(?:주세요|주시|주십)
    """,
    "ar": r"""
        . (?:أنا )?(?:آسف|أعتذر|نعتذر|نأسف|يؤسفني|للأسف|المعذرة|عذر[اًا]*)
        لا (?:أستطيع|يمكنني|أقدر|نستطيع)
        لست قادر
        لن أتمكن
        (?:كنموذج|بصفتي)\b
        (?:لا يمكن|يتعذر) (?:تقديم|إنشاء|الإجابة|معالجة|تلبية)
        (?:الطلب|المحتوى) (?:\w+ )?(?:يخالف|ينتهك)
        (?:أرسل لي|شارك النص|زودني|يرجى (?:إرسال|تقديم|مشاركة|تزويد))
    """,
    "fa, ur": r"""
        ~متأسفم
        ~متاسفم
        ~عذرخواهی می
        ~نمی\W?توانم
        ~معذرت خواہ
        ~معاف کیجی
        ~نہیں کر سکت
    """,
    "he": r"""
        . (?:אני )?(?:מצטער|סליחה)
        אינני יכול
        אני לא יכול
        איני יכול
    """,
    "hi": r"""
        . (?:मुझे )?(?:(?:क्षमा|माफ़|माफ)(?: करें| कीजिए| करना|,| चाह)|माफ़? ?की|खेद)
        ~मुझे खेद है
        ~दुर्भाग्य ?(?:से|वश)
        मैं\s[^।]{0,80}(?:नहीं|असमर्थ)
        ~(?:अनुरोध|सामग्री|विषय)[^।]{0,25}(?:विरुद्ध|उल्लंघन|ख़िलाफ़|खिलाफ)
        ~(?:पाठ|लेख|टेक्स्ट|दस्तावेज़)[^।]{0,12}(?:भेजें|भेजिए|साझा कर|प्रदान कर|पेस्ट कर)
    """,
    "bn, th": r"""
        ^দুঃখিত
        ~পারছি না
        ~পারব না
        ~ขออภัย
        ~ขอโทษ
        ~(?:ดิฉัน|ผม|ฉัน)[^ ]{0,10}ไม่สามารถ
    """,
}
"""The speaker cannot, is sorry, is a machine, or has seen no text."""

FIRST_PERSON: Mapping[str, str] = {
    "en": r"""
        ^(?:that|this|your|the) request\b
    """,
    "de": r"""
        ich\b(?!-)
    """,
    "fr": r"""
        je (?:ne|n'|suis|vais|dois|peux|regrette|crains|pense|crois)\b
        j'(?:ai|espère)\b
    """,
    "es": r"""
        (?:tengo|puedo|debo|espero|temo|estoy|soy una?|he (?:escrito|creado|intentado))\b
    """,
    "pt": r"""
        (?:tenho|posso|consigo|devo|espero|estou|sou uma?)\b
    """,
    "it": r"""
        (?:posso|non ho|devo|spero|temo|riesco|mi dispiace)\b
    """,
    "nl": r"""
        (?:ik|mij)\b
    """,
    "sv, da, no": r"""
        (?:jag|jeg)\b
    """,
    "pl": r"""
        (?:nie mam|mogę|jestem|muszę|potrafię|mnie|przepraszam)\b
    """,
    "cs": r"""
        (?:mám|mohu|můžu|jsem|musím|mně)\b
    """,
    "ru, uk": r"""
        (?:я|меня|мне|мене|мені|могу|можу)\b
    """,
    "tr": r"""
        (?:bana|benim)\b
        \w+(?:[ıiuü]yorum|[ae]m[ae]m)\b
    """,
    "id, ms": r"""
        saya\b
    """,
    "vi": r"""
        tôi\b
    """,
    "zh": r"""
        ~(?<!自)(?<!让)(?<!使)(?<!本)我(?![们国方])
    """,
    "ja": r"""
        ~私(?:は|には|が|の|ども)
        ~当方
    """,
    "ko": r"""
        (?:저는|제가|저의|저도|저로서는)
    """,
    "ar": r"""
        (?:أنا|لدي|أملك|أستطيع|يمكنني)\b
    """,
    "hi": r"""
        (?:मैं|मुझे|मेरे|मेरी|मेरा|मैंने)(?=\s)
    """,
    "he": r"""
        אני\b
    """,
}
"""The speaker speaks of itself. A reader's question to himself is no such thing, nor is a wish.

English has its own pattern, in `checks`: other languages have words that read like its pronoun.
"""

WISHES: Mapping[str, str] = {
    "en": r"""
        i(?:'d| would| do)? (?:\w+ly )?(?:want|like|invite|ask|urge|encourage|challenge|advise
            |dare|suggest|recommend|propose|expect)\b.{0,12}\byou\b
        i suggest\b
    """,
    "de": r"""
        ich (?:\w+ )?(?:möchte|will|lade|bitte|rate|fordere|empfehle|schlage)\b
        wenn ich\b
        als ich\b
    """,
    "fr": r"""
        je (?:vous|t'|te)\s
        j'aimerais que
        je (?:veux|voudrais) que
    """,
    "es, pt, it": r"""
        (?:quiero que|te invito|le invito|quero que|convido|voglio che|ti invito|vi invito)\b
    """,
    "nl": r"""
        ik (?:wil|nodig|vraag|raad)\b
    """,
    "ru, uk": r"""
        я (?:хочу|прошу|советую|предлагаю|раджу|пропоную)\b
    """,
    "zh": r"""
        ~我(?:想|希望|请|要|建议)(?:让)?(?:你|您|大家)
        ~(?:如果|假如|假设|要是|若)我
    """,
    "ja": r"""
        ~私(?:たち|と|なら)
    """,
}

TASK_TALK: Mapping[str, str] = {
    "en": r"""
        (?:this|the above|my) (?:\w+ )?(?:prompt|instruction)\b\s*(?:\w+ )?(?:encourag|help|is
            |was|aim|invit|guid|ask|direct|focus|prompt|make|will|should|can|design|allow|keep
            |push|get|lead|give|work)
        contextual prompts?\b
        learning strategy named\b
        previous answer was\b
        . the user (?:wants|asks|asked|is|needs|would|has|provided|gave|said)\b
        we (?:need|have|should|must)\s(?:to )?(?:write|create|generate|produce|craft)\s(?:an?|one
            |the)\s(?:\w+ ){0,3}(?:prompt|sentence|instruction)
        i (?:need|have|should|must|want|could|can|'ll|will|am going|'m going)\s(?:to )?(?:write
            |create|generate|craft|produce|come up|make sure|draft|formulate|give a)
        let me (?:know|think|write|try|craft|create|draft|see|start)\b
        (?:i )?hope (?:this|that|it) helps
        i(?:'ve| have) (?:written|created|drafted|crafted|prepared|designed|made|kept|tried)\b
        i (?:wrote|created|drafted|crafted|chose|designed|tried to keep)\b
        i(?:'d| would|'m| am) (?:be )?(?:happy|glad|ready) to\b
        i can (?:also|offer|adjust|make)\b
        would you like (?:me|another|any|more|a different|to see|to know)\b
        feel free to (?:ask|adjust|modify|change|let|use|reach|edit)\b
        your task is to (?:write|produce|generate|create|provide|formulate|compose)
        you (?:will be|are|have been) (?:given|provided with|shown) (?:an?|the
            |some)\s(?:\w+ )?(?:text|passage|document|question)
        you are an? (?:helpful|expert)?\s*(?:\w+ )?(?:assistant|ai)\b
        (?:(?<![^.!?:,] )|and )(?:please )?(?:write|generate|produce|create|provide|compose
            |formulate|give)\s(?:me )?(?:an?|one|exactly|the|two|three
            |up)\s(?:[\w-]+\s){0,6}?(?:prompts?|(?:sentences?|instructions?
            |questions?)\s(?:\w+\s){0,4}(?:learners?|students?|readers?))\b
        (?:tells|telling) (?:a|the) (?:learner|student|reader)s? (?:how|what)\b
        . \(?(?:it|this|that) \w+s\s(?:the |a )?(?:learner|reader|student)s?\b
        (?:if|should) you (?:need|want|would like|'d like|have|prefer)\b[^.]{0,40}\b(?:let me
            |just ask|adjust|feel free|anything else|different (?:style|tone|version))
        anything else i\b
        (?:another|different) (?:version|prompt)\b[^.]{0,20}\?
        let's think\b
        (?:a|the) prompt (?:that fits|about|might|could|should|for (?:this|the) text)\b
        (?:happy (?:studying|reading|learning)|good luck)\W*$
        the (?:task|request) is to (?:write|produce|generate|create|craft)\b
        (?:(?<=[(\[—–-])|(?<=[(\[—–-] ))(?:\w+ ){0,3}\d+ (?:words|tokens|characters|wörter|mots
            |palabras|palavras|parole|woorden|słów|слов|kelime)\b
        \d+ (?:words|tokens|characters)[\])]
        word count\s?[:=(]
        hmm+\b
        . (?:okay|alright),? (?:so|the|let|i|we)\b
        i(?:'d| would| should| might| could)\b[^.]{0,20}\b(?:focus|mention|write|ask|keep|say
            |start|use|include|emphasi[sz]e)\b
        . (?:thank you|thanks)\b[^.]{0,15}(?:\bfor\b|!|\.)
        . (?:(?:happy|enjoy(?: the| your)?) (?:studying|reading|learning|exploring)|good luck
            |have fun|best of luck|best regards|kind regards|enjoy|cheers)\b[^.?]{0,20}\W*$
        . (?:does|is|would|will) (?:this|that|it) (?:\w+ )?(?:for you\b|meet your|what you)
        . (?:shall|should|can|may|could) i (?:also )?(?:write|try|make|generate|create|provide
            |offer|adjust|help|give|add|continue)\b
        i(?:'ll| will) (?:write|create|generate|craft|get|do|prepare|provide)\b
        . \(?(?:it|this|that|(?:this|the) (?:sentence|question|wording|phrasing|above|instruction
            |formulation|prompt)) (?:(?:will|would|should|can|could|may|might|is|also|thereby
            |\w+ly) ){0,2}(?:direct|draw|keep|focus|steer|orient|guid
            |push)\w*\b[^.]{0,40}\b(?:attention|the focus|learners?|students?|the reader
            |readers)\b
        (?:(?<=[.!?] )|(?<=[.!?] \()|(?<=[–—-] ))(?:it|this|that|(?:this|the) (?:sentence
            |question|wording|phrasing|above|instruction|formulation|prompt)) (?:(?:will|would
            |should|can|could|may|might|is|also|thereby|\w+ly) ){0,2}(?:activat|encourag|help
            |invit|prompt|nudg|prim|set|engag|promot|foster|ensur|highlight|aim|meant to
            |designed to|intended to|serves? to|leads?|gets?|makes?)\w*\b[^.]{0,40}\b(?:attention
            |learners?|students?|the reader|readers|comprehension|engagement|curiosity
            |critical thinking|prior knowledge|purpose for reading|active reading)\b
        . by (?:posing|asking|framing|using|naming|pointing|inviting|focusing
            |starting)\b[^.]{0,50}, (?:it|this|the (?:prompt|sentence|learner|student|reader)s?)\b
        as (?:requested|instructed|you (?:asked|requested|wished))\b
        (?:purpose|aim|goal|point) of this (?:question|prompt|sentence|instruction)\b
        . (?:encourage|invite|ask|have|get|help|tell|guide|prompt|challenge|direct|urge|remind
            |let|instruct|motivate|teach|require) (?:the |your |all |each |a )?(?:students?
            |learners?|readers?|pupils?)\b(?! (?:who|of|in)\b)
        (?<![^.,:!?] )tell (?:a|the) (?:student|learner|reader)s? (?:how|what|to)\b
        . let's (?:see|think|write|craft|try|start|go with)\b
        (?:so|maybe|perhaps) (?:something|one) like\b|\bsomething like:
        . the (?:requested )?(?:style|tone|strategy) (?:is|should|must|asked)\b
        . (?:so|final|result|output|answer)\s?:
        (?:based on|given) the (?:following |provided )?(?:text|passage
            |document)\b[^.]{0,15}, (?:please )?(?:write|create|generate|produce|craft|compose)\b
        in (?:about |under |around |exactly |at most )?\d+ (?:words|characters|tokens)\b
        (?:no|without) (?:quotation marks|headings?|bullet points|markdown)\b|\bplain text,
        do not (?:use quotation marks|quote from|summari[sz]e it|mention the|include any)\b
        generate (?:an?|\d+|five|ten) (?:[\w-]+ ){0,2}(?:quiz(?:zes)?|summary|answers?|prompts?
            |essay|story)\b
        multiple-choice questions\b
        (?:you are|act as
            |imagine you are) an? (?:\w+ )?expert\b[^.]{0,40}[.,:] (?:\w+ )?(?:summari[sz]e|write
            |generate|translate|explain the following|create|list|answer)\b
        the prompt (?:has been|is) (?:created|ready|done|complete|finished|below|above)
        (?:the |a )?learners?\b(?! (?:in|of|who|is you)\b)
        the (?:idea|goal|aim|purpose|intention|intent|point)(?: here)? is to (?:get|make|have
            |help|encourage|let|guide|lead|nudge|push|prompt) (?:the )?(?:readers?|students?
            |learners?)\b
        (?:tell|give|send|show) me\b
        if you(?:'d| would) (?:like|prefer)\b|\bif you (?:want|prefer|need) (?:something|anything
            |a|an|more|me|another|it|this)\b[^.]{0,40}\b(?:let me|just|i can|i'll|say|tell me
            |ask)\b
        (?:just )?say so\b|\bwant me to\b|\bready when you\b
        would you (?:prefer|like)\b[^?]{0,40}\b(?:prompt|style|tone|version|format)\b
        your (?:answer|response|output|reply|prompt) (?:must|should|has to|needs|is to)\b
        (?:summari[sz]e|translate|rewrite|extract|classify|proofread)(?: the| this)? (?:following
            |provided|given)\b
        (?:summari[sz]e|translate|rewrite|extract|classify) [^.]{0,25}\b(?:above|below|json
            |into (?:english|french|german|spanish|chinese|japanese|russian|arabic|italian
            |portuguese|hindi|korean))\b
        (?:return|respond|reply|output|answer)\b[^.]{0,15}\b(?:json|with only|only the
            |only with)\b
        translate (?:the|this) (?:text|passage|document)|\bextract all\b
        (?:insert|enter|type|paste|put) (?:your|the) (?:\w+ )?here\b
        ^(?:strategy|style|type|tone|language|topics?|subjects?|title|audience|level|category
            |format|length|difficulty|system|user|human|student|teacher|tutor|input|context
            |theme)\s?:
        (?:fits?|matche?s?|follows?|suits?) the (?:reflective|critical|requested|given|chosen
            |inquiry) (?:style|strategy|tone)\b
        (?<=[.!?] )that should (?:do|work)\b|\bend of (?:the )?(?:prompt|answer|response)\b
        nice to meet\b|\bhow (?:may|can|could) i (?:help|assist)\b|\bwhat do you mean\W*$
        with this (?:prompt|question|sentence),\s
        can you (?:rephrase|repeat|clarify|explain) (?:that|it|this|your)\b
        ^(?:see|as|same as) (?:above|before|below)\b|\bwhile your\b|^not applicable\b
        (?:your|the) (?:\w+ )?(?:prompt|response|request) (?:has been|is being|was
            |will be) (?:\w+ )?(?:generated|created|processed|submitted|received|ready|flagged
            |displayed)\b
        ^be (?:concise|brief|specific)\b|\b(?:output|return|provide|give) (?:only )?the prompt\b
        do not use (?:lists?|bullets?|headings?|any)\b|\banswer in (?:english|the language of)\b
        the prompt (?:alone|only|itself)\b|\bprompt,? (?:and )?nothing else\b
        (?<=[.!?] )this (?:question|sentence|instruction|wording|phrasing|formulation
            |approach)\s(?:\w+ly )?(?:sparks|connects|asks|invites|encourages|aims|helps|focuses
            |directs|guides|avoids|targets|fosters|promotes|engages|sets|keeps|highlights
            |supports|activates)\b
        (?<=[.!?] )(?:note|nb|n\.b\.|disclaimer|reminder|ps|p\.s\.)\s?:
        would (?:that|this|it) be (?:ok|okay|fine|alright|helpful|useful|enough)\?
            |\byou're welcome\b
        here (?:are|is) (?:some|a few|two|three|four|five|several|your|the|an?
            |\d) (?:\w+ ){0,2}(?:prompts?|suggestions?|options? (?:for|to))\b
        . (?:reader|learner|student) (?:should|must|needs?)\b
        (?:reader|learner|student)s? should be (?:told|asked|encouraged|instructed|guided|invited
            |reminded)\b
        for your convenience\b|\b(?:text|passage|content|response) has been (?:summari[sz]ed
            |translated|generated|removed|redacted)\b
        ^(?:think|thinking|thoughts?|analysis|reasoning)\s?:\s(?:the|this|i|we|so|okay)\b
        ^you are an? (?:\w+ ){0,2}(?:expert|assistant)\b
        (?:summari[sz]e|translate|rewrite) (?:the|this) (?:text|passage) in\b
        + (?:the )?(?:key|main|central|major) (?:themes?|ideas?|topics?|points?|concepts?)
            \s(?:include|are|is|here|covered)\b
        ^good luck (?:with|on|in)\b
        (?:not|no) (?:\w+ )?substitute for (?:\w+ )?(?:medical|legal|financial|professional)\b
        follow us on\b|\b\d+-word\b|\bdescribe this image\b
        you are (?:chatgpt|claude|gemini|llama|gpt|an? (?:\w+ ){0,2}language model)\b
        trained by (?:openai|google|meta|anthropic|mistral|alibaba|deepseek)\b
        meets (?:the|your|all) (?:requirements|criteria|constraints)\b
        we (?:need|have|must|should|are asked) (?:to )?(?:answer|output|provide|return|produce
            |respond)\b
        read the (?:text|passage) (?:\w+ )?and answer the (?:following )?questions\b
    """,
    "de": r"""
        (?:dieser|der obige) (?:\w+ )?(?:\w*prompt|hinweis (?:regt|hilft|soll))\b
        kontextu\w+ (?:\w*prompt|hinweis)
        . (?:der|die) (?:nutzer|benutzer|user|anwender)(?:in)? (?:möchte|will|fragt|bittet)\b
        ich (?:muss|soll|sollte|werde|habe)\b[^.]{0,40}\b(?:schreiben|erstellen|formulieren
            |verfasst|erstellt|formuliert)
        deine aufgabe ist es\b[^.]{0,30}\b(?:schreib|verfass|formulier|erstell|prompt|satz)
        (?:schreibe|verfasse|formuliere|erstelle)n? (?:sie )?(?:einen|eine
            |genau)\b[^.]{0,25}\b(?:satz|prompt|anweisung|hinweis)
        (?:lass(?:en sie)?|sag(?:en sie)?)\b (?:mich|mir|es mich)\b
        gerne? (?:passe|erstelle|helfe) ich\b
        . (?:das|dies|er) (?:regt|hilft|ermutigt) (?:den|die|dem)\b
        . (?:danke|vielen dank)\b
        . (?:viel (?:erfolg|spaß|freude|vergnügen)|gutes gelingen|mit freundlichen grüßen)\b
        (?:soll|kann|darf) ich (?:noch|ihnen|dir|etwas|eine)\b
        lernende[nrm]?\b
        (?:schreib|verfass|formulier|erstell|generier)\w*\b[^.]{0,60}\b(?:prompt|aufforderung
            |anweisung|anleitung)\b
        (?:lass|bitte|ermutige|fordere|hilf)\w* (?:sie )?(?:die |den )?(?:schüler\w*|leser\w*)\b
        (?:dieser satz|diese (?:frage|formulierung|aufforderung|anweisung)
            |die formulierung) (?:lenkt|regt|hilft|soll|dient|fördert|richtet|ermutigt|führt)
        (?:möchten|möchtest|wollen|willst|brauchen|brauchst|benötigen) (?:sie
            |du)\b[^?]{0,30}\b(?:version|variante|anderen?|anderes|weiter\w*|hilfe|noch etwas)\b
        (?:wie|womit) (?:kann|darf) ich (?:ihnen|dir)\b
        ohne (?:anführungszeichen|überschrift)
        erfüllt (?:die|alle) (?:anforderungen|vorgaben|kriterien)\b
    """,
    "fr": r"""
        (?:ce|cette) (?:prompt|invite|consigne)\b
        (?:prompt|invite|consigne) contextuel
        . l'utilisat(?:eur|rice) (?:veut|souhaite|demande)
        je (?:dois|vais) (?:\w+ )?(?:écrire|rédiger|créer|générer|proposer)
        n'hésitez pas à (?:me|demander)
        dites-moi\b
        faites-le-moi\b
        j'espère que\b
        j'ai (?:rédigé|écrit|créé)
        (?:écris|écrivez|rédige|rédigez|génère|générez) (?:une?|la
            |exactement)\b[^.]{0,20}\b(?:phrase|consigne|invite|instruction|prompt)
        . (?:cela|ceci|elle|il) (?:encourage|invite|aide) (?:le|l'|les)
        . merci\b
        . (?:bonne (?:lecture|chance|étude|continuation)|bon (?:courage|travail|apprentissage)
            |cordialement)\b
        (?:souhaitez|voulez|désirez|veux)-(?:vous|tu) (?:que|une)\b|\bpuis-je\b
        apprenant(?:e?s)?\b
        . (?:demandez|invitez|encouragez|aidez) (?:aux?|les?|à l')\s?(?:élèves?|lecteurs?
            |étudiants?)\b
        (?:à partir|sur la base) d[ue][^.]{0,30}(?:rédige|génère|crée|écri)
        . voyons\b
        rester (?:bref|concis)\b
        . donc ?:
        n'hésite(?:z)? pas (?:à me|à demander|si)
        si vous (?:souhaitez|voulez|préférez|avez besoin)\b[^.]{0,30}\b(?:version|je|autre|modif)
        cette (?:phrase|question|formulation|invitation) (?:oriente|attire|invite|encourage|aide
            |dirige|permet|vise|pousse)
        (?:comment|en quoi) puis-je\b|\bsans guillemets\b
        (?:respecte|j'ai respecté) (?:les|la|le|vos) (?:consignes|contraintes|limite|critères)\b
    """,
    "es, pt, it": r"""
        (?:est[ea]|questo|questa) (?:prompt|indicación|instrucción|instrução|comando|istruzione)\b
        (?:prompt|indicación|instrucción|instrução|istruzione) context\w+
        . (?:el|o|l')\s?(?:usuario|usuário|utilizador|utente) (?:quiere|pide|desea|quer|pede
            |deseja|vuole|chiede)
        (?:avísame|avíseme|házmelo saber|espero que (?:esto|te|isso|questo)|me avise|fammi sapere
            |mi faccia sapere|diga-me se)\b
        (?:debo|tengo que|preciso|devo|voy a|vou) (?:\w+ )?(?:escribir|redactar|generar|crear
            |escrever|gerar|criar|scrivere|creare|generare)
        (?:he (?:escrito|redactado|creado)|escrevi|criei|ho (?:scritto|creato))\b
        (?:escribe|escriba|redacta|redacte|genera|genere|escreva|gere|redija|scrivi
            |scriva)\s(?:una?|um|uma|un')\b[^.]{0,20}\b(?:frase|prompt|oración|instruc|instruç
            |istruzion|indicaci)
        . (?:esto|isso|questo|ciò) (?:anima|ayuda|invita|ajuda|incentiva|encoraja|incoraggia
            |aiuta)\b
        . (?:gracias|muchas gracias|obrigad[oa]|grazie)\b
        . ¡?(?:buena suerte|feliz (?:lectura|aprendizaje|estudio)|que disfrutes
            |buen[oa]? (?:lectura|estudio|aprendizaje)|boa (?:leitura|sorte)|bons estudos
            |buona (?:lettura|fortuna)|buono studio|buon (?:lavoro|apprendimento)|saludos
            |espero que)\b
        (?:envía|envíe|manda|mande|pega|pegue|comparte|comparta)(?:me|melo)\b|\b(?:envie|mande
            |cole)-me\b
        (?:quieres|quiere|deseas|desea|gostaria|quer|vuoi|desideri) (?:que|che) (?:te|le|io|eu|ti
            |lo|otra|outra|prepare|haga|faça)\b
        (?:al (?:alumno|estudiante|aluno)|a los (?:alumnos|estudiantes)|aos alunos
            |agli (?:studenti|alunni))\b
        (?:a partir del?|com base n[oa]|sulla base del)\s?(?:siguiente |seguinte\s
            |seguente )?(?:texto|testo)\b[^.]{0,20}\b(?:genera|escri|redact|redij|crea|cria|scriv)
        . (?:entonces|então|quindi|así que) ?:
        (?:si (?:quieres|lo deseas|necesitas|deseas)|se (?:quiser|desejar|precisar|vuoi|desideri
            |preferisci)),? (?:\w+ )?(?:puedo|posso|te|ti|lhe|otra|outra|un'altra|algo)\b
        (?:esta|questa) (?:frase|pregunta|formulación|pergunta|formulação|domanda
            |formulazione) (?:dirige|orienta|invita|anima|ayuda|busca|fomenta|centra|convida
            |incentiva|ajuda|direciona|aiuta|indirizza|guida)\b
        (?:en qué|cómo|como|come|em que|in cosa) (?:te |le |lhe |ti )?(?:puedo|posso) (?:ayudar
            |aiutar|ajudar)\w*
        (?:sin comillas|sem aspas|senza virgolette)\b
        (?:cumple|cumpre|rispetta) (?:con )?(?:los|os|i|as|le) (?:requisitos|criterios|critérios
            |requisiti)\b
    """,
    "nl": r"""
        (?:deze|dit) (?:prompt|instructie)\b
        contextuele prompt
        . de gebruiker (?:wil|vraagt)\b
        laat het (?:me|mij) weten\b
        ik (?:moet|zal|heb)\b[^.]{0,40}\b(?:schrijven|maken|geschreven|gemaakt)\b
        schrijf (?:een|één)\b[^.]{0,15}\b(?:zin|prompt|instructie)
        . (?:bedankt|dank je|dank u)\b
        . (?:veel (?:succes|plezier|leesplezier)|succes)\b
        (?:wil|wilt) (?:je|u) dat ik\b|\bzal ik (?:nog|een)\b
        als je (?:wilt|wil),? (?:kan|maak|schrijf) ik\b
        deze (?:zin|vraag|formulering) (?:richt|stuurt|helpt|nodigt|moedigt|leidt)\b
        (?:hoe|waarmee) kan ik (?:je|u)\b|\bzonder aanhalingstekens\b
    """,
    "pl": r"""
        (?:ten|powyższy) (?:prompt|tekst zachęty)\b
        kontekstow\w+ (?:prompt|podpowied|wskazówk)
        . użytkownik (?:chce|prosi)\b
        daj(?:cie)? (?:mi )?znać\b
        (?:muszę|powinienem) napisać\b
        napisz (?:jedno|jeden)\b[^.]{0,10}\b(?:zdanie|prompt)
        . (?:dziękuję|dzięki)\b
        . (?:powodzenia|miłej (?:lektury|nauki)|owocnej)\b
        czy (?:chcesz|mam)\b[^.]{0,15}\b(?:żebym|napisać|przygotować|abym)\b
        (?:uczni(?:owi|ów|om)|uczącego|uczącym)\b
        jeśli (?:chcesz|potrzebujesz|trzeba),? (?:mogę|przygotuję|napiszę)\b
        (?:to zdanie|to pytanie|ta wskazówka) (?:kieruje|pomaga|zachęca|skłania)\b
        w czym mogę\b|\bbez cudzysłow\w+
    """,
    "ru, uk": r"""
        (?:этот|данный|цей) (?:промпт|промт|запрос|prompt)\b
        контекстн\w+ (?:промпт|подсказ|промт|підказ)
        . пользователь (?:хочет|просит)\b
        . користувач (?:хоче|просить)\b
        (?:дайте|дай) (?:мне |мені )?знать\b
        надеюсь,? (?:это|что)
        мне (?:нужно|надо) (?:написать|составить|создать)
        (?:напишите|напиши|составьте|составь|сформулируйте) (?:одно|одну|один)\b
        (?:напишите|напиши|составьте|составь|сформулируйте|создайте|придумайте|напишіть|складіть
            |створіть) (?:\w+ )?(?:подсказк|промпт|вопрос|инструкци|підказк|запитанн|питанн)\w*\b
        . (?:спасибо|дякую)\b
        . (?:удачи|успехов|приятного|хорошего|бажаю успіхів)\b
        (?:хотите|желаете),? (?:чтобы я|другой)\b
        (?:если нужно|при необходимости),? (?:я )?(?:могу|предложу|напишу|изменю)
        (?:учащ(?:егося|ихся|имся|емуся)|обучающ\w+)\b
        на основе (?:\w+ )?текста\b[^.]{0,25}\b(?:состав|напиш|сформул|созда)
        . итак ?:
        (?:эта|этот|такая|такой|данная|данный) (?:фраза|формулировка|подсказка|инструкция|вопрос
            |задание)\s(?:направл|помога|побужда|заставля|привлека|стимулир|ориентир)\w+
        (?:чем|как) (?:я )?могу (?:вам )?помочь\b|\bбез кавычек\b
    """,
    "tr": r"""
        bu (?:istem|prompt|yönerge|talimat)\b
        bağlamsal (?:istem|prompt|yönerge)
        . kullanıcı\b[^.]{0,30}\bist(?:iyor|edi)\b
        bana (?:bildir|söyle|haber)
        yardımcı olabilir miyim
        . (?:teşekkür|sağ ol)
        . (?:başarılar|iyi (?:okumalar|çalışmalar|dersler)|kolay gelsin)\b
        (?:ister misiniz|isterseniz)\b
        öğrencini[nz]\b
        bu (?:cümle|soru|ifade)\b[^.]{0,30}\b(?:yönlendir|yardımcı|teşvik|odakla)
        nasıl yardımcı\b|\btırnak işareti (?:olmadan|kullanma)
    """,
    "zh": r"""
        ~(?:这个|该|此|上述|以上|本)(?:提示|指令|prompt)
        ~(?:上下文|语境|情境)提示
        . 用户(?:想|要|希望|需要|让)
        ~我(?:需要|应该|得|要|会|来|将)(?:先)?(?:写|生成|给出|创建|撰写)
        ~希望(?:这|以上|对你|对您)
        ~如(?:果|需|有)[^。]{0,15}(?:告诉我|随时)
        ~请(?:写|生成|给出|撰写)[^。,]{0,12}(?:提示|指令)
        ~\(?(?:字数|共\s*\d+\s*字)
        . (?:谢谢|感谢|多谢)
        . (?:祝(?:你|您|学习|阅读)|加油)
        ~(?:需要|要不要|是否需要)我
        ~(?:引导|帮助|促使|鼓励)(?:学生|学员)|学习者
        ~(?:根据|基于)[^。]{0,12}(?:文本|文章|内容|文字)[^。]{0,8}(?:生成|写|撰写|给出|创建
            |设计)[^。]{0,12}提示
        ~可以(?:这样)?写成|提示(?:词|语)?(?:要|应|需)
        ~(?:发给|发送给|贴给|粘贴)(?:我|过来)|有什么(?:可以|能)帮
        ~(?:这|该|此)(?:句话?|个问题|一问题|条?提示)[^。]{0,6}(?:引导|帮助|旨在|促使|有助|意在)
            |(?:不要|不用|勿)(?:使用|加)?引号
        ~符合(?:您的|你的)?要求|(?:您|你)(?:要求|需要|想要)的(?:提示|内容|指令)
    """,
    "ja": r"""
        ~(?:この|上記の|本)(?:プロンプト|指示文?)
        ~(?:文脈|コンテキスト)プロンプト
        . ユーザーは
        ~お役に立て
        ~ご(?:希望|要望|不明|質問)[^。]{0,12}(?:ください|くださ|お知らせ)
        ~(?:プロンプト|指示文?|一文)を(?:書|作成|生成)(?:く|し|い)(?:て(?:ください|くれ)|必要
            |なければ)
        . (?:ありがとう|承知|かしこまりました|了解)
        ~頑張って(?:ください|ね)|がんばって(?:ください|ね)|いかがでしょうか
        ~(?:お送り|ご提供|ご入力|貼り付けて|お貼り)[^。]{0,8}ください
        ~学習者|(?:次|以下)の(?:テキスト|文章|文)(?:に|を)(?:基づ|もとに|読)[^。]{0,30}(?:作成
            |生成|書い)
        ~お知らせください|お申し付け|(?:必要|ご入用|不明)(?:でしたら|な点|であれば)
        ~(?:この|これ)(?:文|一文|問い|質問|により|によって)[^。]{0,20}(?:学習者|注意を|促し)
            |ご質問|引用符
        ~ご(?:要望|依頼|指定)の
    """,
    "ko": r"""
        ~(?:이|위)\s(?:프롬프트|지시문)
        ~(?:맥락|문맥|상황)적?\s?프롬프트
        ^사용자(?:는|가|께서)
        ~도움이\s?되(?:었|길|기를)
        ~(?:필요|원)하시면
        ~감사합니다|고맙습니다|화이팅|즐거운 (?:독서|학습)|행운을|원하시나요|도와드릴까요
            |도움이 필요
        ~학습자(?:가|에게|의|는)|(?:다음|아래) (?:글|텍스트|본문)[^.]{0,20}(?:작성|생성|만들)
        ~이 (?:문장|질문|문구)[은는][^.]{0,30}(?:유도|돕|이끌|집중)|따옴표 없이|무엇을 도와
        ~요청하신
    """,
    "ar": r"""
        ~هذا (?:التوجيه|الموجه|الموجّه|الأمر) (?:ي|ال)
        ~المستخدم (?:يريد|يطلب)
        ~يريد المستخدم
        ~أخبرني
        ~أتمنى أن
        ~آمل أن (?:يكون|يفيد)
        ~شكر[اًا]+|بالتوفيق|قراءة ممتعة|هل تريد أن|المتعلم
        ~إذا (?:أردت|كنت ترغب|احتجت|رغبت)
        ~(?:هذه الجملة|هذه العبارة|هذا السؤال) (?:ت|ي)(?:وجه|ساعد|شجع|هدف)|بدون علامات
            |كيف يمكنني مساعد
    """,
    "hi": r"""
        ~यह (?:प्रॉम्प्ट|संकेत|निर्देश)
        ^उपयोगकर्ता
        ~मुझे (?:बताएं|बताइए|बताएँ)
        ~आशा है कि यह
        ~धन्यवाद|शुभकामना|क्या आप चाहते|शिक्षार्थी
        ~(?:यदि|अगर) आप(?:को)? (?:चाहें|चाहते|और|कोई)
        ~यह (?:वाक्य|प्रश्न)[^।]{0,30}(?:मदद|प्रेरित|निर्देशित)|बिना उद्धरण|कैसे मदद कर
    """,
}
"""The speaker talks about writing the prompt, about the prompt, or to the one who asked for it."""

LABELS = r"""
    explanation|rationale|justification|why this works|word count|(?:a )?summary|overview|gist
    th[eè]mes? (?:principaux|cl[ée]s?|abordés)|temas? (?:principal\w*|clave|centra\w+|principais)
    tem[ai] (?:principal[ei]|central[ei])|hauptthem\w+|hauptgedanken?|idée principale
    idea principal\w?
    główn\w+ (?:tematy?|myśl|idee?)|основн\w+ (?:темы?|идеи?|мысль)|главн\w+ (?:темы?|идеи?|мысль)
    tl;?dr|main (?:idea|theme|point)s?|key(?: |-)?(?:themes|words|points|takeaways)
    zusammenfassung|erklärung|begründung|übersetzung|schlüssel(?:wörter|begriffe)|stichw[oö]rt\w*
    schlagw\w+|résumé|explication|traduction|mots-clés|resumen|explicación|traducción
            |palabras clave
    resumo|explicação|tradução|palavras-chave|riassunto|spiegazione|traduzione|parole chiave
    samenvatting|uitleg|toelichting|trefwoorden|streszczenie|wyjaśnienie|słowa kluczowe
    пояснение|объяснение|перевод|пояснення|ключевые слова|краткое содержание|açıklama|özet
    anahtar kelimeler|说明|解释|翻译|理由|字数|总结|摘要|概要|关键词|要約|説明|解説|翻訳
            |キーワード
    설명|해설|번역|요약|키워드|شرح|التفسير|ترجمة|الملخص|ملخص|الكلمات المفتاحية|स्पष्टीकरण|व्याख्या
    अनुवाद|सारांश|मुख्य शब्द
"""
"""What stands before a remark or in place of a prompt, with a colon."""

LATER_LABELS = """
    translation|words|tokens|check|self-check|nota|note|not|nb|prompt|answer|user|assistant|human|student|strategy|keywords?
"""
"""The same after a prompt alone: before it, they are labels that are taken off."""

# Words that a sentence does not end with. Those that double as a verb's particle are left out.
FUNCTION_WORDS: Mapping[str, str] = {
    "en": (
        "the a an and or but nor of to at by from with into than which whose their its his "
        "her our your my if because while whether between through during including such as "
        "is are was were be been has have had especially"
    ),
    "de": (
        "der die das den dem des ein eine einen einem einer eines und oder aber von vom zum "
        "zur für bei im am als wie dass ob weil wenn sowie durch über ihre ihrer seine "
        "seiner ist sind"
    ),
    "fr": (
        "le la les un une des du de et ou mais à au aux en dans par pour sur avec sans que "
        "qui dont ce cette ces son sa ses leur leurs si comme entre est sont"
    ),
    "es": (
        "el la los las un una unos unas de del y e o u pero a al en con por para sin sobre "
        "entre que su sus como si cuando es son"
    ),
    "pt": (
        "o a os as um uma de do da dos das e ou mas em no na nos nas com por para sem que "
        "seu sua como se entre ao à é são"
    ),
    "it": (
        "il lo la i gli le un uno una di del della dei delle dello e o ma a al alla in nel "
        "nella con per su che come se tra fra sul sulla è sono"
    ),
    "nl": ("de het een en of maar van in met voor door bij dat die als om te hun tussen is zijn"),
    "sv": (
        "en ett den det de och eller men av till i på med för från som att om sin sitt sina "
        "mellan är"
    ),
    "pl": (
        "i oraz lub albo ale w we z ze na do od przez dla po o że który która które jak a "
        "między jest są jaki jaka jakie jakich których"
    ),
    "cs": ("a i nebo ale v ve z ze na do od pro po o že který která které jak mezi k s je jsou"),
    "ru": (
        "через перед под над если чтобы либо и или но а в во на с со к ко от до по о об из у за "
        "для при что как который которая которые между"
    ),
    "uk": "і й та або але а в у на з із до від по про за для при що як який яка які між",
    "tr": "ve veya ile ama bir bu her için",
    "id": "dan atau tetapi yang di ke dari untuk dengan pada dalam oleh",
    "vi": "và hoặc nhưng của các những trong với cho từ là một",
    "el": "ο η το οι τα του της των τον την και ή αλλά να που με σε για από στο στη στην",
    "ar": "و أو في من إلى على عن مع أن التي الذي بين ما هذا هذه",
    "hi": "और या का की के को से में पर कि एक जो",
}

# Scripts that join such words to others, or use no spaces: the last letters.
UNFINISHED_LETTERS = (
    r"(?:能够|可以|为什么|如何|怎样|是否|因为|由于|但是|而且|以及|并且|通过|关于|对于|例如|比如|[的和与及或在对把将被其于从向由]|[ぁ-んァ-ン一-鿿](?:の|を|が|は|に|と|で|や|へ)"
    r"|[가-힣](?:을|를|의|와|과)|\s및)$"
)
